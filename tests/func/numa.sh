#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# -numa: nodes, vCPUs and distances as given, what is left out, and what is
# refused.
. tests/tap.sh

[ -x "$TERN" ] || skip_all "tern is not built"
A="-object memory-backend-ram,id=a,size=64M"
B="-object memory-backend-ram,id=b,size=64M"

run()
{
    printf 'info numa\nquit\n' | timeout 60 "$TERN" -accel qtest -nodefaults \
        -display none -S -monitor stdio "$@" >"$TMP/text" 2>&1
    rc=$?
    tr -d '\r' <"$TMP/text"
    return $rc
}

# text, arguments: fails and says text
says()
{
    text=$1
    shift
    if out=$(run "$@"); then
        fail "$* is refused" "$out"
    else
        has "$* is refused" "$out" "$text"
    fi
}

has "no nodes" "$(run -m 64)" "0 nodes"
# shellcheck disable=SC2086
out=$(run -m 128 -smp 4 $A $B -numa node,memdev=a,cpus=0-1 \
    -numa node,memdev=b,cpus=2,cpus=3)
has "two nodes" "$out" "2 nodes
node 0 cpus: 0 1
node 0 size: 64 MB
node 0 plugged: 0 MB
node 1 cpus: 2 3
node 1 size: 64 MB
node 1 plugged: 0 MB"
# shellcheck disable=SC2086
{
has "vCPUs by their place" "$(run -m 64 -smp 4,sockets=2 $A \
    -numa node,memdev=a -numa node -numa cpu,node-id=1,socket-id=0 \
    -numa cpu,node-id=0,socket-id=1)" "node 0 cpus: 2 3
node 0 size: 64 MB
node 0 plugged: 0 MB
node 1 cpus: 0 1"
has "sockets go round the nodes" "$(run -m 64 -smp 4,sockets=4 $A \
    -numa node,memdev=a -numa node)" "node 0 cpus: 0 2"
has "what is left is node 0's" "$(run -m 64 -smp 4 $A \
    -numa node,memdev=a,cpus=0 -numa node,cpus=2-3)" \
    "CPU(s) not present in any NUMA nodes: CPU 1 [socket-id: 0, core-id: 1, \
thread-id: 0]"
has "mem= for old machines" "$(run -machine pc-i440fx-5.0 -m 64 \
    -numa node,mem=16M -numa node,mem=48)" "node 1 size: 48 MB"
says "-numa node,mem is not supported by this machine type" -m 64 \
    -numa node,mem=64M
says "mixing both is not allowed" -m 64 $A -numa node,memdev=a,mem=64M
says "should equal RAM size (0x8000000)" -m 128 $A -numa node,memdev=a
says "Node ID missing: 0" -m 64 $A -numa node,memdev=a,nodeid=1
says "Duplicate NUMA nodeid: 0" -m 64 $A -numa node,memdev=a -numa node,nodeid=0
says "Max number of NUMA nodes reached: 128" -m 64 -numa node,nodeid=128
says "memdev=zz is ambiguous" -m 64 -numa node,memdev=zz
says "backend a can't be used multiple times" -m 128 $A -numa node,memdev=a \
    -numa node,memdev=a
says "are mutually exclusive" -m 64 $A -machine memory-backend=a \
    -numa node,memdev=a
says "should be smaller than maxcpus (2)" -m 64 -smp 2 $A \
    -numa node,memdev=a,cpus=0-9
says "expects a uint64 value or range" -m 64 $A -numa node,memdev=a,cpus=0-x
says "expects a uint64 value or range" -m 64 $A \
    -numa node,memdev=a,cpus=0-18446744073709551615
says "already assigned to node-id: 0" -m 64 $A -numa node,memdev=a,cpus=0 \
    -numa node,cpus=0
says "no match found" -m 64 $A -numa node,memdev=a \
    -numa cpu,node-id=0,socket-id=9
says "Missing mandatory node-id" -m 64 $A -numa node,memdev=a \
    -numa cpu,socket-id=0
says "distance between node 0 and 2 is missing" -m 64 $A -numa node,memdev=a \
    -numa node -numa node -numa dist,src=0,dst=1,val=20
says "shouldn't be less than 10" -m 64 $A -numa node,memdev=a -numa node \
    -numa dist,src=0,dst=1,val=9
says "Local distance of node 0 should be 10" -m 64 $A -numa node,memdev=a \
    -numa dist,src=0,dst=0,val=11
says "declare it first" -m 64 $A -numa node,memdev=a \
    -numa dist,src=0,dst=1,val=20
says "Parameter 'val' is missing" -m 64 $A -numa node,memdev=a -numa node \
    -numa dist,src=0,dst=1
says "asymmetrical pair" -m 64 $A -numa node,memdev=a -numa node -numa node \
    -numa dist,src=0,dst=1,val=20 -numa dist,src=1,dst=0,val=30 \
    -numa dist,src=0,dst=2,val=20 -numa dist,src=1,dst=2,val=20
says "HMAT) is disabled" -m 64 $A -numa node,memdev=a,initiator=0
says "does not accept value 'foo'" -numa foo
says "Invalid parameter 'bogus'" -m 64 $A -numa node,memdev=a,bogus=1
says "NUMA is not supported by this machine-type" -machine none -numa node
}
finish
