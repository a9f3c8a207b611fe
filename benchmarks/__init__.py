"""Side-by-side measurements of Entrepot and its peers: `python -m benchmarks`, or `make bench`.

Units everywhere: 1 MB is 10^6 bytes and 1 GB 10^9 bytes; MiB and GiB are powers of two. Times are seconds
of the wall clock (`time.perf_counter`) unless a name says otherwise; CPU seconds are user plus system time of
all processes of a server.
"""
