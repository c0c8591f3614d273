"""Reports to RadGraph annotations: the entities of a report and the relations between them, by rules, from a file, or by a published network."""
