"""The image-to-video methods side by side."""
