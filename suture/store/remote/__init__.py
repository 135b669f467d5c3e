"""The store's mirror that machines share: a bucket of any S3-compatible server, or a folder (`SUTURE_REMOTE`).

    artifacts/<key>/            as in the store, manifest.json last: its existence means complete
    leases/<key>.json           who is building this key now, on whichever machine
    damaged/<key>.<time>/       what was not what its manifest says, set aside

place.py      objects by name, as a remote needs them
folder.py     ... in a folder
bucket.py     ... in a bucket
answers.py    what the bucket's server answers, as our errors
ahead.py      several transfers at once, in order
mirror.py     artifacts: find, push, pull
manifests.py  what a manifest that comes from there may say
lease.py      one builder per key over all machines
collect.py    removing what is old
"""

from suture.store.remote.mirror import Remote, open_remote

__all__ = ["Remote", "open_remote"]
