#!/bin/sh
# Runs ./deploy.sh in turn: whoever starts this, and wherever, it first waits for the deployment that is under way.
#
#   LEASELOCK_URL=redis://locks.example.com deploy-in-turn.sh [ARGUMENTS OF deploy.sh]
set -eu
wait=${DEPLOY_WAIT:-10m}

# The lease is renewed while deploy.sh runs; if this host dies, the next deployment can begin a minute later. deploy.sh finds
# the fencing token in LEASELOCK_TOKEN, for whatever it writes to.
status=0
leaselock run deploy:prod --ttl 60s --wait "$wait" -- ./deploy.sh "$@" || status=$?

# What deploy.sh exits with comes through. These two are leaselock's; all of them: leaselock run --help.
case $status in
  75)
    echo "Not deployed: another deployment did not end within $wait:" >&2
    leaselock inspect deploy:prod >&2 || true # it may have ended just now
    ;;
  79)
    echo "Stopped half-way: the lock was lost. See what has been deployed before you start it again." >&2
    ;;
esac
exit "$status"
