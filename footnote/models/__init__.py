"""The tables. Each table with rows of tenants has a `tenant_id`."""

from footnote.models.answers import CachedAnswer, CollectionRevision
from footnote.models.audit_log import AuditEvent
from footnote.models.backups import BackupRun
from footnote.models.base import Base
from footnote.models.batches import QueryBatch, QueryBatchItem
from footnote.models.conversations import Conversation, Message
from footnote.models.documents import (
    Chunk,
    Collection,
    Deletion,
    Document,
    Embedding,
    EmbeddingSpace,
    Page,
    Version,
    chunk_id,
)
from footnote.models.files import File, FileBatch, FileBatchItem
from footnote.models.following import FollowedTenant
from footnote.models.jobs import Job, JobStep, Pause
from footnote.models.leased import Dispatched, Leased
from footnote.models.postings import Posting, PostingBlock
from footnote.models.refused_uploads import RefusedUpload
from footnote.models.responses import StoredResponse
from footnote.models.stored import Artifact, DirectUpload, PagePicture, UnownedObject
from footnote.models.swaps import ChunkVector, ModelSwap
from footnote.models.tallies import TallyChange, TallyRow
from footnote.models.tasks import BackgroundTask
from footnote.models.tenancy import ApiKey, BrowserSession, IdempotencyKey, Installation, SigningKey, Tenant
from footnote.models.usage import UsageOfDay
from footnote.models.vocabulary import VocabularyRemoval, VocabularyWord
from footnote.models.webhooks import DocumentSequence, JobCallback, WebhookAttempt, WebhookDelivery, WebhookEndpoint

__all__ = [
    "ApiKey",
    "Artifact",
    "AuditEvent",
    "BackgroundTask",
    "BackupRun",
    "Base",
    "BrowserSession",
    "CachedAnswer",
    "Chunk",
    "ChunkVector",
    "Collection",
    "CollectionRevision",
    "Conversation",
    "Deletion",
    "DirectUpload",
    "Dispatched",
    "Document",
    "DocumentSequence",
    "Embedding",
    "EmbeddingSpace",
    "File",
    "FileBatch",
    "FileBatchItem",
    "FollowedTenant",
    "IdempotencyKey",
    "Installation",
    "Job",
    "JobCallback",
    "JobStep",
    "Leased",
    "Message",
    "ModelSwap",
    "Page",
    "PagePicture",
    "Pause",
    "Posting",
    "PostingBlock",
    "QueryBatch",
    "QueryBatchItem",
    "RefusedUpload",
    "SigningKey",
    "StoredResponse",
    "TallyChange",
    "TallyRow",
    "Tenant",
    "UnownedObject",
    "UsageOfDay",
    "Version",
    "VocabularyRemoval",
    "VocabularyWord",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "chunk_id",
]
