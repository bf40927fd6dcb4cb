"""Models: the catalogue, downloads that are verified, GGUF files, and the engines that run them."""
