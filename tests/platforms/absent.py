"""What Python lacks on Windows and on macOS, of what it has on Linux: modules, and names of modules.

From the "Availability" notes of the documentation of Python's standard library. Names are missing where the oldest
supported Python lacks them.
"""

WINDOWS_MODULES = frozenset(
    {"crypt", "curses", "fcntl", "grp", "nis", "posix", "pty", "pwd", "readline"}
    | {"resource", "spwd", "syslog", "termios", "tty"}
)

WINDOWS: dict[str, frozenset[str]] = {
    module: frozenset(names.split())
    for module, names in {
        "os": """
            chown chroot confstr confstr_names copy_file_range ctermid eventfd fchdir fchmod fchown fdatasync
            fork forkpty fpathconf fstatvfs fwalk getegid geteuid getgid getgrouplist getgroups getloadavg getpgid
            getpgrp getpriority getrandom getresgid getresuid getsid getuid getxattr grantpt initgroups killpg lchmod
            lchown listxattr lockf login_tty major makedev memfd_create minor mkfifo mknod nice openpty pathconf
            pidfd_open pipe2 plock posix_fadvise posix_fallocate posix_openpt posix_spawn posix_spawnp pread preadv
            ptsname pwrite pwritev readv register_at_fork removexattr sched_getaffinity sched_setaffinity
            sched_get_priority_max sched_yield sendfile setegid seteuid setgid setgroups setpgid setpriority setregid
            setresgid setresuid setreuid setsid setuid setxattr splice statvfs sync sysconf sysconf_names tcgetpgrp
            tcsetpgrp timerfd_create ttyname uname unlockpt unshare wait wait3 wait4 waitid writev
            O_ACCMODE O_ASYNC O_CLOEXEC O_DIRECT O_DIRECTORY O_DSYNC O_LARGEFILE O_NDELAY O_NOATIME O_NOCTTY
            O_NOFOLLOW O_NONBLOCK O_PATH O_RSYNC O_SYNC O_TMPFILE POSIX_FADV_DONTNEED POSIX_FADV_SEQUENTIAL
            POSIX_FADV_WILLNEED SEEK_DATA SEEK_HOLE SF_NODISKIO WNOHANG WIFEXITED WEXITSTATUS WIFSIGNALED WTERMSIG
            RTLD_LAZY RTLD_NOW RTLD_GLOBAL EX_OK EX_USAGE
        """,
        "socket": """
            AF_UNIX AF_NETLINK AF_PACKET AF_VSOCK CMSG_LEN CMSG_SPACE MSG_CMSG_CLOEXEC MSG_CONFIRM MSG_DONTWAIT MSG_EOR
            MSG_FASTOPEN MSG_MORE MSG_NOSIGNAL SCM_RIGHTS SOCK_CLOEXEC SOCK_NONBLOCK SO_BINDTODEVICE SO_DOMAIN SO_MARK
            SO_PASSCRED SO_PEERCRED SO_PRIORITY SO_PROTOCOL SO_REUSEPORT TCP_CONGESTION TCP_CORK TCP_DEFER_ACCEPT
            TCP_INFO TCP_LINGER2 TCP_QUICKACK TCP_SYNCNT TCP_USER_TIMEOUT TCP_WINDOW_CLAMP recv_fds send_fds
            sethostname
        """,
        "signal": """
            ITIMER_REAL ITIMER_VIRTUAL ITIMER_PROF ItimerError SIGALRM SIGBUS SIGCHLD SIGCLD SIGCONT SIGHUP SIGIO
            SIGKILL SIGPIPE SIGPOLL SIGPROF SIGPWR SIGQUIT SIGRTMAX SIGRTMIN SIGSTKFLT SIGSTOP SIGSYS SIGTRAP SIGTSTP
            SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGVTALRM SIGWINCH SIGXCPU SIGXFSZ SIG_BLOCK SIG_SETMASK
            SIG_UNBLOCK Sigmasks alarm getitimer pause pidfd_send_signal pthread_kill pthread_sigmask setitimer
            siginterrupt sigpending sigtimedwait sigwait sigwaitinfo
        """,
        "select": "EPOLLERR EPOLLIN EPOLLOUT PIPE_BUF POLLERR POLLHUP POLLIN POLLNVAL POLLOUT POLLPRI epoll poll",
        "time": """
            CLOCK_BOOTTIME CLOCK_MONOTONIC CLOCK_MONOTONIC_RAW CLOCK_PROCESS_CPUTIME_ID CLOCK_REALTIME CLOCK_TAI
            CLOCK_THREAD_CPUTIME_ID clock_getres clock_gettime clock_gettime_ns clock_settime clock_settime_ns
            pthread_getcpuclockid tzset
        """,
        "mmap": """
            MADV_DONTNEED MADV_FREE MADV_HUGEPAGE MADV_NORMAL MADV_RANDOM MADV_SEQUENTIAL MADV_WILLNEED MAP_ANON
            MAP_ANONYMOUS MAP_DENYWRITE MAP_EXECUTABLE MAP_NORESERVE MAP_POPULATE MAP_PRIVATE MAP_SHARED MAP_STACK
            PROT_EXEC PROT_READ PROT_WRITE
        """,
        "errno": """
            EADV EBADE EBADFD EBADR EBADRQC EBADSLT EBFONT ECHRNG ECOMM EDOTDOT EISNAM EKEYEXPIRED EKEYREJECTED
            EKEYREVOKED EL2HLT EL2NSYNC EL3HLT EL3RST ELIBACC ELIBBAD ELIBEXEC ELIBMAX ELIBSCN ELNRNG EMEDIUMTYPE
            EMULTIHOP ENAVAIL ENOANO ENOCSI ENOKEY ENOMEDIUM ENONET ENOPKG ENOTBLK ENOTNAM ENOTUNIQ EREMCHG
            EREMOTEIO ERESTART ERFKILL ESRMNT ESTRPIPE EUCLEAN EUNATCH EXFULL
        """,
    }.items()
}
"""Names that these modules lack on Windows."""

MACOS_MODULES = frozenset({"spwd", "nis", "ossaudiodev"})

MACOS: dict[str, frozenset[str]] = {
    module: frozenset(names.split())
    for module, names in {
        "os": """
            O_DIRECT O_LARGEFILE O_NOATIME O_PATH O_RSYNC O_TMPFILE POSIX_FADV_DONTNEED POSIX_FADV_SEQUENTIAL
            POSIX_FADV_WILLNEED copy_file_range eventfd fdatasync getrandom getresgid getresuid getxattr listxattr
            memfd_create pidfd_open pipe2 posix_fadvise posix_fallocate removexattr sched_getaffinity
            sched_setaffinity setresgid setresuid setxattr splice timerfd_create unshare
        """,
        "socket": """
            AF_NETLINK AF_PACKET MSG_CMSG_CLOEXEC MSG_CONFIRM MSG_FASTOPEN MSG_MORE SOCK_CLOEXEC SOCK_NONBLOCK
            SO_BINDTODEVICE SO_DOMAIN SO_MARK SO_PASSCRED SO_PEERCRED SO_PRIORITY SO_PROTOCOL TCP_CONGESTION TCP_CORK
            TCP_DEFER_ACCEPT TCP_LINGER2 TCP_QUICKACK TCP_SYNCNT TCP_USER_TIMEOUT TCP_WINDOW_CLAMP
        """,
        "signal": "SIGCLD SIGPOLL SIGPWR SIGRTMAX SIGRTMIN SIGSTKFLT pidfd_send_signal sigtimedwait sigwaitinfo",
        "select": "EPOLLERR EPOLLIN EPOLLOUT epoll",
        "time": "CLOCK_BOOTTIME CLOCK_TAI clock_settime_ns pthread_getcpuclockid",
        "mmap": "MADV_HUGEPAGE MAP_ANONYMOUS MAP_DENYWRITE MAP_EXECUTABLE MAP_POPULATE MAP_STACK",
        "errno": "EBADE EBADFD ECHRNG ECOMM EMEDIUMTYPE ENONET EREMOTEIO ERESTART EUCLEAN",
    }.items()
}
"""Names that these modules lack on macOS."""
