"""The management API of a registry: every operation, joined with the services that do the work."""

from registry.gc.collector import Collector
from registry.gc.jobs import Jobs
from registry.gc.retention import Retention
from registry.index import Index
from registry.management.account import AccountOperations
from registry.management.audit import AuditOperations
from registry.management.collection import CollectionOperations
from registry.management.explain import ExplainOperations
from registry.management.grants import GrantOperations
from registry.management.groups import GroupOperations
from registry.management.in_use import InUseOperations
from registry.management.keys import KeyOperations
from registry.management.management import Management
from registry.management.openapi import with_document
from registry.management.quotas import QuotaOperations
from registry.management.repositories import RepositoryOperations
from registry.management.retention import RetentionRuleOperations
from registry.management.retention_preview import RetentionOperations
from registry.management.robots import RobotOperations
from registry.management.scrub import ScrubOperations
from registry.management.tokens import TokenOperations
from registry.management.trust_rules import TrustRuleOperations
from registry.management.undo import UndoOperations
from registry.management.uploads import UploadOperations
from registry.management.usage import UsageOperations
from registry.management.users import UserOperations
from registry.management.why import WhyOperations
from registry.services.accounts.credentials import Credentials
from registry.services.accounts.grants import Grants
from registry.services.accounts.groups import Groups
from registry.services.accounts.robots import Robots
from registry.services.accounts.trust_rules import TrustRules
from registry.services.accounts.users import Users
from registry.services.audit import Audit
from registry.services.explanations import Explanations
from registry.services.history import History
from registry.services.in_use import InUse
from registry.services.manifests import Manifests
from registry.services.quarantine import Quarantine
from registry.services.quotas import Quotas
from registry.services.repositories import Repositories
from registry.services.retention.preview import Previews
from registry.services.retention.rules import RetentionRules
from registry.services.running_uploads import RunningUploads
from registry.services.sign_in import SignIn
from registry.services.signing_keys import SigningKeys
from registry.services.tags import Tags
from registry.services.undo import Undo
from registry.services.uploads import Uploads
from registry.services.usage import Usage
from registry.services.why import Why


def management(
    index: Index,
    audit: Audit,
    sign_in: SignIn,
    keys: SigningKeys,
    uploads: Uploads,
    quarantine: Quarantine,
    repositories: Repositories,
    manifests: Manifests,
    collector: Collector,
    undo_seconds: float,
    collect_seconds: float,
) -> Management:
    """All operations, on one index. `undo_seconds`: how long what is deleted is kept;
    `collect_seconds` lie between two collections."""
    quotas = Quotas(index, audit)
    resources = (
        AccountOperations(),
        UserOperations(Users(index, audit), sign_in),
        TokenOperations(Credentials(index, audit)),
        GroupOperations(Groups(index, audit)),
        RobotOperations(Robots(index, audit)),
        GrantOperations(Grants(index, audit)),
        TrustRuleOperations(TrustRules(index, audit)),
        RepositoryOperations(repositories, Tags(index), manifests, quotas),
        UndoOperations(History(index), Undo(index, audit), repositories, undo_seconds),
        QuotaOperations(quotas),
        UploadOperations(RunningUploads(index, audit), uploads),
        CollectionOperations(collector, Jobs(index), collect_seconds),
        RetentionRuleOperations(RetentionRules(index, audit)),
        RetentionOperations(
            Previews(index), Retention(index, audit, keep_deleted=undo_seconds > 0), Jobs(index)
        ),
        InUseOperations(InUse(index, audit)),
        ScrubOperations(Jobs(index), quarantine),
        WhyOperations(Why(index, undo_seconds)),
        UsageOperations(Usage(index), repositories),
        AuditOperations(audit),
        ExplainOperations(Explanations(index)),
        KeyOperations(keys),
    )
    operations = [operation for resource in resources for operation in resource.operations()]
    return Management(with_document(operations), audit)
