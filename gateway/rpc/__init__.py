"""gRPC at the edge: who may call what, wire to values and back, errors to statuses."""
