import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key


@pytest.fixture(scope="session")
def rsa_key() -> RSAPrivateKey:
    """Of 2048 bits; making one takes a while."""
    return generate_private_key(65537, 2048)
