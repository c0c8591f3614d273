"""Any image-text-to-text model that transformers knows, asked in words."""
