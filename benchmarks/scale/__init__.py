"""What a large index costs: `python -m benchmarks.scale` fills indexes of growing size and asks them.

shape.py tells what is in them, filling.py puts it there, queries.py has the hot queries, databases.py runs
and explains them, load.py has clients ask a server, week.py calculates what a week adds, and page.py writes
docs/scale.md.
"""
