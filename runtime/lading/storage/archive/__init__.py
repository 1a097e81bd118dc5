"""Tar archives as streams: read, extracted safely, packed from a tree, and written.

    compression   what an archive is compressed with, and its plain bytes
    pipeline      decompressing and hashing in a thread ahead of the reader
    headers       one 512-byte block to an entry and back; pax records
    sparse        the four ways in which GNU tar writes files with holes
    reader        entries and payloads of a tar stream
    extract       entries to files below a directory descriptor
    pack          files below a directory descriptor to a tar stream

Python's tarfile is not used: it takes longer to parse a layer than the kernel takes to write it,
and its extraction works on path names, which a hostile archive can redirect.
"""
