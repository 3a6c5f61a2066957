"""A card in software: bytes in, bytes out, never raises; knows no phone app, reader or backend."""
