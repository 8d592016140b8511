#!/bin/sh
# Plans and applies in turn: nobody changes the infrastructure between the plan that was looked at and its application.
#
#   LEASELOCK_URL=redis://locks.example.com terraform-in-turn.sh STACK [ARGUMENTS OF plan]
set -eu
stack=$1
shift

# Terraform locks the state of its backend, but for each command: between plan and apply another apply may come.
if [ "${LEASELOCK_NAME:-}" != "terraform:$stack" ]; then
  exec leaselock run "terraform:$stack" --ttl 60s --wait "${TERRAFORM_WAIT:-30m}" --label "$(whoami)" -- "$0" "$stack" "$@"
fi

# From here on it is ours; if it is lost, leaselock ends this script, and terraform with it.
cd "$stack"
terraform plan -input=false -out=plan.tfplan "$@"
terraform apply -input=false plan.tfplan
rm -f plan.tfplan
