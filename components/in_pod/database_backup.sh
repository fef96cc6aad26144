# Program of the nightly job `database-backup`: deletes old dumps of the metadata database in its
# working directory, then makes one. libpq reads the login from PGHOST, PGUSER, PGPASSWORD and PGDATABASE.
set -eu
umask 077

# What a killed job has left.
rm -f -- *.part
# Before the dump: a full volume would otherwise stay full.
newest=$(ls -t | grep '\.dump$' | head -n 1)
find . -maxdepth 1 -name '*.dump' ! -name "$newest" -mmin "+$((BACKUP_DAYS * 24 * 60))" -print -delete

# A NetworkPolicy admits a new pod only after some seconds.
tries=30
until pg_isready --quiet || [ "$tries" = 0 ]; do
    tries=$((tries - 1))
    sleep 2
done
file="$DUMP_PREFIX-$(date -u +%Y%m%d-%H%M%S)"
# pg_dump writes the file to the disk before it ends.
pg_dump --format=custom --file="$file.part"
mv "$file.part" "$file.dump"
ls -l "$file.dump"
