"""The parts of the manual that are written from the code: what is declared there once is not told a second time.

Pure functions from declarations to text; ``python -m indexer.manual`` (``make docs``) writes the files, and
a test of each says when one is out of date. Nothing here runs in the daemon.
"""
