"""The laboratory: a whole cluster on one machine, for newcomers, tests and continuous integration.

Two kinds of hosts. ``libvirt``: each host is a set of namespaces with its own libvirtd and agent; its guests are real
QEMU processes that really migrate. ``fake``: each host is an agent process with the fake driver, no root needed.
Power cuts, network cuts and slow links are made on purpose and undone on request; `tashi-lab down` leaves nothing.
"""
