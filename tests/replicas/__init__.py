"""Several replicas of one registry. All these tests are of one xdist group: one process runs them, and so
each set of replicas is started once."""
