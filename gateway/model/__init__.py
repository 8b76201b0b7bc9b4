"""What is exchanged, as frozen values. No protobuf, no IO."""
