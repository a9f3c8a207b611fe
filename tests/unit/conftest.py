"""Property tests are judged by what they find, not by the load of the machine they run on."""

from hypothesis import settings

settings.register_profile("entrepot", deadline=None)
settings.load_profile("entrepot")
