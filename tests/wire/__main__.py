"""`make snapshots`: writes the snapshots anew. Git shows what has changed."""

import django

if __name__ == "__main__":
    django.setup()
    from .snapshots import write

    write()
