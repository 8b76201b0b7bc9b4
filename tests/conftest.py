"""Names of tests, the same in every process that collects them: else they cannot be spread over several."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name what differs from run to run after its argument: instants around now, and what prints in no order."""
    if (isinstance(val, int) and abs(val) > 10**12) or isinstance(val, set | frozenset):
        return argname
    return None
