"""Enqueueing from any service, and following what becomes of the jobs."""

from farm.client.async_client import AsyncClient as AsyncClient
from farm.client.async_client import AsyncClientQueue as AsyncClientQueue
from farm.client.async_client import AsyncJobHandle as AsyncJobHandle
from farm.client.calls import Call as Call
from farm.client.calls import DuplicateJob as DuplicateJob
from farm.client.calls import InvalidCall as InvalidCall
from farm.client.client import Client as Client
from farm.client.client import ClientQueue as ClientQueue
from farm.client.job_handle import JobHandle as JobHandle
from farm.client.options import QueueOptions as QueueOptions
from farm.client.results import JobNotDecodable as JobNotDecodable
from farm.store.job_status import JobStatus as JobStatus
