"""Recipes of the small checkpoints: masked autoencoders of clips and of frames, patch-CLIP's block, slots.

python -m minilib.papers.open_vocabulary.pretrain all --minutes 9 --device cuda
"""
