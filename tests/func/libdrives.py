# SPDX-License-Identifier: GPL-2.0-or-later
"""Sub-options of -drive, for tests/func/block-peer.py (those that are taken, and
what nodes they make) and drive-refused.py (those that are not). @ stands for
the image's name, which is the drive's own."""

from peer import hmp, q

# What the manual lists, one by one; then what -blockdev knows; then guides'.
TAKEN = """
file=@.raw,format=raw
file=@.raw,format=raw,index=5
file=@.raw,format=raw,bus=1,unit=3
file=@.raw,format=raw,media=disk
file=@.raw,format=raw,media=cdrom
file=@.raw,format=raw,snapshot=on
file=@.raw,format=raw,snapshot=off
file=@.raw,format=raw,snapshot=on,readonly=on
file=@.raw,format=raw,cache=none
file=@.raw,format=raw,cache=off
file=@.raw,format=raw,cache=writeback
file=@.raw,format=raw,cache=writethrough
file=@.raw,format=raw,cache=directsync
file=@.raw,format=raw,cache=unsafe
file=@.raw,format=raw,cache.writeback=off
file=@.raw,format=raw,cache.direct=on
file=@.raw,format=raw,cache.no-flush=on
file=@.raw,format=raw,cache.writeback=off,cache.direct=on,cache.no-flush=on
file=@.raw,format=raw,aio=threads
file=@.raw,format=raw,aio=native,cache.direct=on
file=@.raw,format=raw,aio=io_uring
file=@.raw,format=raw,werror=stop,rerror=ignore
file=@.raw,format=raw,werror=enospc,rerror=stop
file=@.raw,format=raw,werror=report,rerror=report
file=@.raw,format=raw,werror=ignore
file=@.raw,driver=raw
file=@.qcow2
file=@.qcow2,format=qcow2
file=@.qcow2,copy-on-read=on
file=@.qcow2,copy-on-read=off
file=@.raw,format=raw,bps=1000000
file=@.raw,format=raw,bps_rd=1000000,bps_wr=2000000
file=@.raw,format=raw,bps=1000000,bps_max=2000000
file=@.raw,format=raw,bps_rd=1000000,bps_rd_max=3000000
file=@.raw,format=raw,bps_wr=1000000,bps_wr_max=3000000
file=@.raw,format=raw,iops=100,iops_max=200,iops_size=4096
file=@.raw,format=raw,iops_rd=100,iops_wr=300
file=@.raw,format=raw,iops_rd=100,iops_rd_max=150
file=@.raw,format=raw,iops_wr=100,iops_wr_max=150
file=@.raw,format=raw,iops=100,group=shared
file=@.raw,format=raw,iops=100,group=shared
file=@.raw,format=raw,throttling.group=other,throttling.iops-total=50
file=@.raw,format=raw,throttling.bps-total=1M
file=@.raw,format=raw,throttling.bps-read=1M,throttling.bps-write=2M
file=@.raw,format=raw,throttling.iops-read=10,throttling.iops-write=20
file=@.raw,format=raw,throttling.bps-total=1M,throttling.bps-total-max=2M,throttling.bps-total-max-length=7
file=@.raw,format=raw,throttling.bps-read=1M,throttling.bps-read-max=2M,throttling.bps-read-max-length=8
file=@.raw,format=raw,throttling.bps-write=1M,throttling.bps-write-max=2M,throttling.bps-write-max-length=9
file=@.raw,format=raw,throttling.iops-total=10,throttling.iops-total-max=20,throttling.iops-total-max-length=7
file=@.raw,format=raw,throttling.iops-read=10,throttling.iops-read-max=20,throttling.iops-read-max-length=8
file=@.raw,format=raw,throttling.iops-write=10,throttling.iops-write-max=20,throttling.iops-write-max-length=9
file=@.raw,format=raw,throttling.iops-total=10,throttling.iops-size=8192
file=@.raw,format=raw,read-only=on
file=@.raw,format=raw,readonly=on
file=@.raw,format=raw,auto-read-only=on
file=@.raw,format=raw,read-only=on,auto-read-only=off
file=@.raw,format=raw,read-only=on,force-share=on
file=@.raw,format=raw,detect-zeroes=on
file=@.raw,format=raw,detect-zeroes=unmap,discard=unmap
file=@.raw,format=raw,detect-zeroes=off
file=@.raw,format=raw,discard=on
file=@.raw,format=raw,discard=off
file=@.raw,format=raw,discard=ignore
file=@.raw,format=raw,discard=unmap
file=@.raw,format=raw,stats-account-invalid=off
file=@.raw,format=raw,stats-account-failed=off
file=@.raw,format=raw,stats-intervals.0=10,stats-intervals.1=60
file=@.raw,format=raw,node-name=mine
file=@.raw,format=raw,file.node-name=its,node-name=mine2
file=@.raw,format=raw,offset=512,size=4096
file=@.raw,format=raw,file.locking=off
file=@.raw,format=raw,file.drop-cache=off
file=@.raw,format=raw,serial=abc
file.filename=@.raw,format=raw
file.driver=file,file.filename=@.raw,driver=raw
driver=file,filename=@.raw
driver=raw,file.driver=null-co,file.size=65536
driver=null-co
file=null-co://,format=raw
file=json:{"driver":"raw","file":{"driver":"file","filename":"@.raw"}}
file=file:@.raw,format=raw
file=blkdebug::@.raw,format=raw
file=@.qcow2,l2-cache-size=1M,refcount-cache-size=256k
file=@.qcow2,cache-size=2M,cache-clean-interval=600
file=@.qcow2,l2-cache-entry-size=4k
file=@.qcow2,lazy-refcounts=on
file=@.qcow2,overlap-check=all
file=@.qcow2,overlap-check=none
file=@.qcow2,overlap-check.template=constant,overlap-check.refcount-block=on
file=@.qcow2,pass-discard-request=on,pass-discard-snapshot=off,pass-discard-other=on
file=@.qcow2,backing.file.filename=base.raw,backing.driver=raw
file=@.qcow2,backing=base
driver=qcow2,file.driver=file,file.filename=@.qcow2,file.aio=threads
media=cdrom
media=disk
format=raw
cache=none,file=@.raw,format=raw,aio=native
file=@.raw,format=raw,media=cdrom,readonly=on
""".strip().split("\n")
REFUSED = """
file=@.raw,format=raw,if=nonesuch
file=@.raw,format=nonesuch
file=@.raw,format=raw,driver=qcow2
file=@.raw,format=qcow2
file=@.raw,format=raw,media=nonesuch
file=@.raw,format=raw,snapshot=maybe
file=@.raw,format=raw,cache=nonesuch
file=@.raw,format=raw,cache.direct=maybe
file=@.raw,format=raw,cache=none,cache.direct=off
file=@.raw,format=raw,aio=nonesuch
file=@.raw,format=raw,aio=native
file=@.raw,format=raw,werror=nonesuch
file=@.raw,format=raw,rerror=nonesuch
file=@.raw,format=raw,rerror=enospc
file=@.raw,format=raw,copy-on-read=maybe
file=@.raw,format=raw,copy-on-read=on,readonly=on
file=@.raw,format=raw,bps=-1
file=@.raw,format=raw,bps=x
file=@.raw,format=raw,bps=1,bps_rd=1
file=@.raw,format=raw,iops=1,iops_wr=1
file=@.raw,format=raw,bps_max=5
file=@.raw,format=raw,bps=10,bps_max=5
file=@.raw,format=raw,bps=10,throttling.bps-total=5
file=@.raw,format=raw,iops=10,throttling.iops-total-max-length=5
file=@.raw,format=raw,throttling.bps-total=10000000000000000
file=@.raw,format=raw,throttling.iops-total=10,throttling.iops-total-max=20,throttling.iops-total-max-length=0
file=@.raw,format=raw,throttling.nonesuch=5
file=@.raw,format=raw,iops_size=4096
file=@.raw,format=raw,index=1,bus=0
file=@.raw,format=raw,index=1,unit=0
file=@.raw,format=raw,index=x
file=@.raw,format=raw,readonly=on,read-only=on
file=@.raw,format=raw,readonly=maybe
file=@.raw,format=raw,read-only=maybe
file=@.raw,format=raw,auto-read-only=maybe
file=@.raw,format=raw,force-share=on
file=@.raw,format=raw,detect-zeroes=nonesuch
file=@.raw,format=raw,detect-zeroes=unmap
file=@.raw,format=raw,discard=nonesuch
file=@.raw,format=raw,stats-intervals.0=0
file=@.raw,format=raw,stats-intervals.0=x
file=@.raw,format=raw,stats-intervals.5=10
file=@.raw,format=raw,stats-account-failed=maybe
file=@.raw,format=raw,node-name=1bad
file=@.raw,format=raw,node-name=
file=@.raw,format=raw,nonesuch=1
file=@.raw,format=raw,file.nonesuch=1
file=@.raw,format=raw,size=511
file=@.raw,format=raw,cyls=5
file=@.raw,format=raw,id=1bad
file=@.raw,format=raw,id=
file=@.raw,format=raw,file=b
file=nonesuch.raw,format=raw
file=nonesuch.qcow2
file=nonesuch:x
file=
file=json:{
file=json:{"driver":"nonesuch"}
file=@.raw,file.filename=@.raw
filename=@.raw
driver=file
driver=nonesuch
driver=raw
driver=qcow2,file=@.raw
file=.,format=raw
file=@.qcow2,l2-cache-size=1M,cache-size=512k
file=@.qcow2,l2-cache-size=1M,refcount-cache-size=1M,cache-size=1M
file=@.qcow2,l2-cache-entry-size=100
file=@.qcow2,l2-cache-entry-size=128k
file=@.qcow2,overlap-check=nonesuch
file=@.qcow2,lazy-refcounts=maybe
file=@.qcow2,backing=nonesuch
file=@.qcow2,encrypt.key-secret=x
throttling.group=g,bps=1
""".strip().split("\n")

GRAPH = q("x-debug-query-block-graph")


def drives():
    """Arguments, images: a drive for each line."""
    args, images = [], ["create -q -f raw base.raw 1M"]
    args += ["-blockdev", "driver=raw,node-name=base,read-only=on,"
             "file.driver=file,file.filename=base.raw"]
    for i, text in enumerate(TAKEN):
        name = "d%02d" % i
        for kind in ("raw", "qcow2"):
            if "@." + kind in text:
                images.append("create -q -f %s %s.%s 1M" % (kind, name, kind))
        text = text.replace("@", name)
        if "json:" in text:
            head, body = text.split("json:", 1)
            text = head + "json:" + body.replace(",", ",,")
        args += ["-drive", "if=none,id=%s,%s" % (name, text)]
    return args, images


ARGS, IMAGES = drives()
SESSION = (["-machine", "none"] + ARGS, IMAGES, [
    q("query-block"), q("query-named-block-nodes", flat=True), GRAPH,
    q("query-blockstats"), hmp("info block"),
    *[hmp("info block -v d%02d" % i) for i in range(0, len(TAKEN), 9)]])

# Whole command lines for a PC: places that it does not have, drives that it
# cannot use as they are.
BOARD = [["-drive", "file=a.qcow2,if=" + i] for i in
         ("scsi", "mtd", "sd", "xen")] + [
    ["-drive", "file=a.qcow2,if=scsi,bus=1,unit=2"],
    ["-drive", "file=a.qcow2,bus=2"],
    ["-drive", "file=a.qcow2,index=4"],
    ["-drive", "file=a.qcow2,unit=5"],
    ["-drive", "file=a.qcow2,index=0", "-drive", "file=a.raw,index=0"],
    ["-hda", "a.qcow2", "-hda", "a.raw"],
    ["-cdrom", "a.qcow2", "-hdc", "a.raw"],
    ["-hda", "missing"],
    ["-sd", "a.qcow2"],
    ["-mtdblock", "a.qcow2"],
    ["-drive", "if=virtio"],
    ["-drive", "file=a.qcow2,if=virtio", "-drive", "if=virtio"],
    ["-drive", "file=a.qcow2,if=ide,readonly=on"],
    ["-drive", "file=a.qcow2,if=none,id=d,readonly=on", "-device",
     "ide-hd,drive=d"],
    ["-drive", "file=a.qcow2,if=none,id=d", "-device", "ide-hd,drive=e"],
    ["-drive", "file=a.qcow2,if=none,id=d", "-device", "ide-hd,drive=d",
     "-device", "ide-hd,drive=d"],
    ["-drive", "file=a.qcow2,if=floppy,werror=stop"],
    ["-blockdev", "driver=raw,file=none,node-name=f"],
    ["-blockdev", "driver=file,filename=a.raw"],
    ["-blockdev", "filename=a.raw,node-name=f"],
    ["-blockdev", "driver=file,filename=a.raw,node-name=f,more=1"],
    ["-blockdev", "driver=file,filename=a.raw,node-name=f,read-only=maybe"],
    ["-blockdev", "driver=file,filename=a.raw,node-name=f,detect-zeroes=unmap"],
    ["-blockdev", "driver=file,filename=a.raw,node-name=f,aio=native"],
    ["-blockdev", "driver=file,filename=a.raw,node-name=f,locking=maybe"],
    ["-blockdev", "driver=qcow2,node-name=q,file.driver=file,"
     "file.filename=a.qcow2,l2-cache-entry-size=1000"],
]
