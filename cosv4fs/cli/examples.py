"""The examples in the help texts of all commands."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "ls": (
        "cosv4fs ls -lh cosv4://data/photos",
        'cosv4fs ls --json "cosv4://data/photos/*.csv"',
        "cosv4fs ls cdcs://  # all coffers",
    ),
    "tree": ("cosv4fs tree cosv4://data", "cosv4fs tree -L 2 cosv4://data/photos"),
    "find": (
        'cosv4fs find cosv4://data --name "*.tmp" --older-than 30d',
        "cosv4fs find s3://bucket/logs --type f --min-size 1G",
    ),
    "du": ("cosv4fs du -h -d 1 cosv4://data/photos", "cosv4fs du -hs cosv4://data cosv4://other"),
    "cat": (
        "cosv4fs cat cosv4://data/notes.txt",
        "cosv4fs cat --range 0:100 cosv4://data/photos/index.csv",
        "cosv4fs cat --range=-1000: cosv4://data/app.log  # the end",
    ),
    "stat": ("cosv4fs stat cosv4://data/photos/index.csv", 'cosv4fs stat --json "cosv4://data/photos/*"'),
    "sha1sum": (
        'cosv4fs sha1sum "cosv4://data/photos/*" > sums',
        "cosv4fs sha1sum --check sums",
    ),
    "sign": (
        "cosv4fs sign cosv4://data/report.csv",
        "cosv4fs sign --expires 600 cosv4://data/report.csv",
    ),
    "cp": (
        "cosv4fs cp report.csv cosv4://data/reports/",
        'cosv4fs cp "cosv4://data/reports/*.csv" .',
        "cosv4fs cp -r photos cosv4://data/  # creates cosv4://data/photos",
        "cosv4fs cp -r photos/ cosv4://data/2024  # copies the contents of photos",
        "cosv4fs cp -r audit cdcs://vault-1250000000/",
        "pg_dump shop | cosv4fs cp - cosv4://data/shop.sql",
        "cosv4fs cp cosv4://data/shop.sql - | psql shop",
    ),
    "sync": (
        "cosv4fs sync photos cosv4://data/photos",
        "cosv4fs sync --delete --dry-run cosv4://data/photos photos",
        "cosv4fs sync --delete --max-delete 100 cosv4://data/photos photos",
    ),
    "check": (
        "cosv4fs check photos cosv4://data/photos",
        "cosv4fs check --one-way --no-metadata cosv4://data s3://backup/data",
        "cosv4fs check --json --download s3://backup/data cdcs://vault-1250000000/a",
    ),
    "migrate": (
        "cosv4fs migrate cosv4://data/photos s3://bucket/photos --verify",
        "cosv4fs migrate cosv4://data /mnt/backup --report files.csv",
    ),
    "mv": (
        "cosv4fs mv cosv4://data/a.csv cosv4://data/b.csv",
        "cosv4fs mv -r cosv4://data/2023 cosv4://data/archive/",
        "cosv4fs mv -r photos/ cosv4://data/photos/ --older-than 30d",
    ),
    "rm": (
        'cosv4fs rm "cosv4://data/photos/*.tmp"',
        "cosv4fs rm -r --dry-run cosv4://data/photos",
    ),
    "mkdir": ("cosv4fs mkdir cosv4://data/photos", "cosv4fs mkdir -p cosv4://data/photos/2024/05"),
    "touch": ("cosv4fs touch cosv4://data/_SUCCESS", "cosv4fs touch cdcs://vault-1250000000/audit/done"),
    "attrs": (
        "cosv4fs attrs cosv4://data/index.html",
        "cosv4fs attrs cosv4://data/index.html cache_control=no-cache owner=me",
        "cosv4fs attrs cosv4://data/index.html --remove biz_attr",
    ),
    "uploads ls": ("cosv4fs uploads ls cosv4://data", "cosv4fs uploads ls --json cosv4://data/big.iso"),
    "uploads resume": ("cosv4fs uploads resume", "cosv4fs uploads resume cosv4://data/photos"),
    "uploads abort": (
        "cosv4fs uploads abort cosv4://data/big.iso",
        "cosv4fs uploads abort cdcs://vault-1250000000/audit/2024.tar",
    ),
    "uploads clean": (
        "cosv4fs uploads clean cosv4://data",
        "cosv4fs uploads clean --older-than 6h cosv4://data/photos",
    ),
    "configure": (
        "cosv4fs configure",
        "cosv4fs configure archive --protocol cdcs --bucket vault-1250000000",
        "cosv4fs configure ci -o appid=1250000000 -o region=gz \\",
        "    -o secret_id=AKID... -o secret_key=- < key.txt",
    ),
    "doctor": ("cosv4fs doctor cosv4://data", "cosv4fs doctor --write -o profile=archive cdcs://vault-1250000000"),
    "demo": ("cosv4fs demo --rows 1000", "cosv4fs demo --keep ./cos-data"),
}
"""Command lines by command; with double quotes, which every shell knows."""
