"""`make snapshots`: writes the snapshots and the Postman collection anew. Git shows changes."""

import django

if __name__ == "__main__":
    django.setup()
    from tests.editors import postman_collection

    from . import snapshots

    snapshots.write()
    postman_collection.write()
