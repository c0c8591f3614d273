"""RadGraph's published networks as annotators of the benchmark: reports to entities and relations, as the package ``radgraph`` 0.1.18 gives them."""
