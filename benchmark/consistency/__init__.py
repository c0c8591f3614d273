"""Do printed tables agree with themselves, with each other and with what is said of them."""
