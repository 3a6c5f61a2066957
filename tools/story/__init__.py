"""The story: the main job end to end, played against a real server; `python -m tools.story`."""
