"""Long video by chunks: short videos from an image model, one after another, along a script of motion (`script`)."""

from minilib.papers.long_video.method import Chunked, chunk_by_chunk, independent
from minilib.papers.long_video.sharing import dense_memory, nothing, sparse_memory

__all__ = ["Chunked", "chunk_by_chunk", "dense_memory", "independent", "nothing", "sparse_memory"]
