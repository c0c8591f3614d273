"""R2Gen (Chen et al., EMNLP 2020): network, weights, how it writes, adapter, and a training at demo size. TSGET is built of the same parts."""
