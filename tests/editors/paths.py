"""Where the files for editors are. Without Django: `make http` only reads them."""

from tests.servers import ROOT

HTTP_FILE = ROOT / "docs" / "chat.http"
POSTMAN = ROOT / "docs" / "postman"
COLLECTION = "collections/Chat backend"
ENVIRONMENT = "environments/Local.environment.yaml"
