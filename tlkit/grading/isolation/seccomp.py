"""A filter on system calls: what no notebook needs, and what would get round a limit, is refused.

Refused everywhere: sockets (a pair of connected ones is allowed), looking into other processes, new
namespaces and mounts, parts of the kernel where mistakes are found every year (io_uring, bpf, perf …), and
memory that belongs to no process's count (memfd, System V, anonymous shared mappings).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

from tlkit.grading.isolation import linux

# {name: (number on x86_64, number on aarch64)}
_NEVER = {
    "socket": (41, 198),
    **{"ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271)},
    **{"pidfd_getfd": (438, 438), "process_madvise": (440, 440), "kcmp": (312, 272)},
    **{"move_pages": (279, 239), "migrate_pages": (256, 238), "perf_event_open": (298, 241)},
    **{"mount": (165, 40), "umount2": (166, 39), "move_mount": (429, 429), "open_tree": (428, 428)},
    **{"fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433)},
    **{"mount_setattr": (442, 442), "open_tree_attr": (467, 467), "pivot_root": (155, 41)},
    **{"chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268)},
    **{"bpf": (321, 280), "userfaultfd": (323, 282), "modify_ldt": (154, None)},
    **{"io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427)},
    **{"memfd_create": (319, 279), "memfd_secret": (447, 447)},
    **{"name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265)},
    **{"fanotify_init": (300, 262), "inotify_add_watch": (254, 27)},
    **{"add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219)},
    **{"shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195)},
    **{"msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187)},
    **{"semget": (64, 190), "semop": (65, 193), "semtimedop": (220, 192), "semctl": (66, 191)},
    **{"mq_open": (240, 180), "mq_unlink": (241, 181), "quotactl": (179, 60), "ioprio_set": (251, 30)},
}
# Where files or processes of others are in reach: what Landlock does not cover.
_OUTSIDE = {
    **{"truncate": (76, 45), "chown": (92, None), "lchown": (94, None), "fchown": (93, 55)},
    **{"fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7)},
    **{"removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16)},
    **{"setxattrat": (463, 463), "removexattrat": (466, 466), "file_setattr": (469, 469)},
    "setpriority": (141, 140),
    **{"sendmsg": (46, 211), "sendmmsg": (307, 269)},  # hides open files from whoever counts them
}
_FEIGNED = {"chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452)}
_SIGNALS = {"tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "pidfd_send_signal": (424, 424)}
_LAST = 470  # the last number that is known here: what comes later, and the x32 calls, are not there

_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_PERM, _ABSENT = _REFUSE | errno.EPERM, _REFUSE | errno.ENOSYS
_NEW_SPACES_OR_SIBLING = 0x7E020000 | 0x8000  # CLONE_NEW… and CLONE_PARENT
_SHARED_ANONYMOUS = 0x21

Step = tuple[int, int, int, int]  # an instruction: code, jump if true, jump if false, constant


def install(outside: bool, signals: bool) -> None:
    """Filter the calls of this process and all it starts, for good; needs no_new_privs.

    outside: files and processes of others are in reach, so they are not changed. signals: nothing else
    keeps signals away from them, so none is sent but to oneself.
    """
    program = b"".join(struct.pack("HBBI", *step) for step in _program(outside, signals))
    kept = ctypes.create_string_buffer(program)
    address = struct.pack("HP", len(program) // 8, ctypes.addressof(kept))
    number = {"x86_64": 317, "aarch64": 277}[platform.machine()]
    linux.check(linux.call(number, 1, 4, address), "seccomp")  # 4: no slowing down for speculation


def _program(outside: bool, signals: bool) -> list[Step]:
    machine = platform.machine()
    column = list(_ARCHITECTURE).index(machine)
    steps: list[Step] = [
        *((_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _ARCHITECTURE[machine]), (_RETURN, 0, 0, _KILL)),
        *((_LOAD, 0, 0, 0), (_AT_LEAST, 0, 1, _LAST + 1), (_RETURN, 0, 0, _ABSENT)),
    ]

    def when(numbers: tuple[int, int | None], *then: Step) -> None:
        number = numbers[column]
        if number is not None:
            steps.extend([(_EQUAL, 0, len(then), number), *then])

    def allow_if(numbers: tuple[int, int | None], argument: int, values: list[int], otherwise: bool) -> None:
        """Allow the call if its argument is one of the values (or if it is none of them)."""
        ends = (_ALLOW, _PERM) if otherwise else (_PERM, _ALLOW)
        tests = [(_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
        when(
            numbers,
            (_LOAD, 0, 0, 16 + 8 * argument),
            *tests,
            (_RETURN, 0, 0, ends[0]),
            (_RETURN, 0, 0, ends[1]),
        )

    def only(numbers: tuple[int, int | None], argument: int, *values: int) -> None:
        allow_if(numbers, argument, list(values), otherwise=False)

    def never(numbers: tuple[int, int | None], argument: int, *values: int) -> None:
        allow_if(numbers, argument, list(values), otherwise=True)

    refused = _NEVER | (_OUTSIDE if outside else {}) | (_SIGNALS if signals else {})
    for numbers in refused.values():
        when(numbers, (_RETURN, 0, 0, _PERM))
    when((435, 435), (_RETURN, 0, 0, _ABSENT))  # clone3, whose flags cannot be looked at: clone is used then
    bits = (_ANY_BIT, 0, 1, _NEW_SPACES_OR_SIBLING)
    when((56, 220), (_LOAD, 0, 0, 16), bits, (_RETURN, 0, 0, _PERM), (_RETURN, 0, 0, _ALLOW))
    both = ((_AND, 0, 0, _SHARED_ANONYMOUS), (_EQUAL, 0, 1, _SHARED_ANONYMOUS))
    when((9, 222), (_LOAD, 0, 0, 16 + 8 * 3), *both, (_RETURN, 0, 0, _PERM), (_RETURN, 0, 0, _ALLOW))
    never((157, 167), 0, linux.PDEATHSIG, linux.SET_DUMPABLE, linux.SET_SUBREAPER)  # prctl
    if outside:
        for numbers in _FEIGNED.values():  # copying a file ends with one of these: it must seem to work
            when(numbers, (_RETURN, 0, 0, _REFUSE))
        for changing_another in ((302, 261), (203, 122), (144, 119), (142, 118), (314, 274)):
            only(changing_another, 0, 0)  # prlimit64, sched_set…
        never((72, 25), 1, 8, 10, 15)  # fcntl: signals to an owner
    if signals:
        only((62, 129), 0, os.getpid())  # kill
        only((234, 131), 0, os.getpid())  # tgkill
        only((297, 240), 0, os.getpid())  # rt_tgsigqueueinfo
    return [*steps, (_RETURN, 0, 0, _ALLOW)]
