"""How far metrics agree with radiologists: judgements of candidate reports from a user's file, and the order in which a metric puts the same."""
