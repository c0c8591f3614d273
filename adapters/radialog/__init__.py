"""RaDialog (Pellegrini et al., 2025), version 2: findings from one frontal image and what a classifier saw in it."""
