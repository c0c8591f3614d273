"""BERTScore (Zhang et al., ICLR 2020): how well the words of two reports match in the eyes of a BERT."""
