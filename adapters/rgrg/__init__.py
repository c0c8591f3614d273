"""RGRG (Tanida et al., CVPR 2023) as a model of the benchmark: 29 regions are found, those worth a word are chosen, each gets a sentence."""
