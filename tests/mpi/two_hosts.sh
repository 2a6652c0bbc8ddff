#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The same checks with ranks on two hosts, which are network namespaces of this machine with names of their own. Needs
# root, and says 77 where it is refused that:
#
#     tests/mpi/two_hosts.sh MPIRUN MPI_PROGRAM PROGRAM
set -euo pipefail
mpirun=$1
network=10.77.$((RANDOM % 256))
name=crossdock$$
work=$(mktemp -d)
clean() {
    for host in 1 2; do ip netns delete "$name-$host" 2> /dev/null || true; done
    ip link delete "xd$$" 2> /dev/null || true
    rm -rf "$work"
}
trap clean EXIT

make_hosts() {
    ip link add "xd$$" type bridge && ip addr add "$network.254/24" dev "xd$$" && ip link set "xd$$" up || return
    for host in 1 2; do
        ip netns add "$name-$host" && ip link add "xd$$.$host" type veth peer name eth0 netns "$name-$host" &&
            ip link set "xd$$.$host" master "xd$$" up &&
            ip -n "$name-$host" addr add "$network.$host/24" dev eth0 &&
            ip -n "$name-$host" link set eth0 up && ip -n "$name-$host" link set lo up || return
    done
}
if ! make_hosts 2> "$work/log"; then
    echo "no network namespaces here: $(tail -n 1 "$work/log")"
    exit 77
fi

# What MPI takes for ssh: [OPTION…] HOST COMMAND…
cat > "$work/ssh" << SSH
#!/usr/bin/env bash
while [[ \$1 == -* ]]; do shift; done
host=\${1##*.}
shift
exec ip netns exec "$name-\$host" unshare --uts bash -c "hostname host\$host; \$*"
SSH
if [[ $("$mpirun" --version) == *open-mpi.org* ]]; then
    options="--mca plm_rsh_agent $work/ssh --mca oob_tcp_if_include $network.0/24 --mca btl_tcp_if_include $network.0/24
        --mca orte_keep_fqdn_hostnames 1 --host $network.1:4,$network.2:4 --map-by node"
else
    options="-launcher ssh -launcher-exec $work/ssh -localhost $network.254 -hosts $network.1,$network.2 -ppn 1"
fi
cat > "$work/mpirun" << MPIRUN
#!/usr/bin/env bash
exec "$mpirun" $(echo $options) "\$@"
MPIRUN
chmod +x "$work/ssh" "$work/mpirun"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

hosts=$("$work/mpirun" -n 2 sh -c 'hostname' < /dev/null | sort | paste -s -d ' ')
[[ $hosts == "host1 host2" ]] || { echo "the ranks are on '$hosts', not on two hosts"; exit 1; }
"$(dirname "${BASH_SOURCE[0]}")/check.sh" "$work/mpirun" "$2" "$3" briefly
