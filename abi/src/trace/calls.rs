//! The table.
//!
//! `symbol=name (arguments) result #number;` where the symbol is not what it is shown as, and a system call takes the same
//! arguments. [`traced_calls`](crate::traced_calls) hands the table to whoever makes something of each row.

use super::{Argument, Call, Family, Gives, Words};

/// Calls the macro `each` with the whole table: `Family { symbol $(=name)? (arguments) Gives $(#number)?; … } …`.
#[macro_export]
macro_rules! traced_calls {
    ($each:ident) => {
        $each! {
            File {
                open (Text, Flags(Open), Octal) Int #2;
                open64=open (Text, Flags(Open), Octal) Int #2;
                openat (Directory, Text, Flags(Open), Octal) Int #257;
                openat64=openat (Directory, Text, Flags(Open), Octal) Int #257;
                creat (Text, Octal) Int #85;
                creat64=creat (Text, Octal) Int #85;
                stat (Text, Stat) Int #4;
                stat64=stat (Text, Stat) Int #4;
                lstat (Text, Stat) Int #6;
                lstat64=lstat (Text, Stat) Int #6;
                fstatat=newfstatat (Directory, Text, Stat, Flags(Words::At)) Int #262;
                fstatat64=newfstatat (Directory, Text, Stat, Flags(Words::At)) Int #262;
                statx (Directory, Text, Flags(Words::At), Flags(Mask), Statx) Int #332;
                access (Text, Flags(Access)) Int #21;
                eaccess (Text, Flags(Access)) Int;
                faccessat (Directory, Text, Flags(Access), Flags(Words::At)) Int #439;
                truncate (Text, Long) Int #76;
                truncate64=truncate (Text, Long) Int #76;
                chmod (Text, Octal) Int #90;
                fchmodat (Directory, Text, Octal, Flags(Words::At)) Int #268;
                chown (Text, Unsigned, Unsigned) Int #92;
                lchown (Text, Unsigned, Unsigned) Int #94;
                fchownat (Directory, Text, Unsigned, Unsigned, Flags(Words::At)) Int #260;
                utimes (Text, Pointer) Int;
                lutimes (Text, Pointer) Int;
                utimensat (Directory, Text, Pointer, Flags(Words::At)) Int #280;
                readlink (Text, Room, Size) Long #89;
                readlinkat (Directory, Text, Room, Size) Long #267;
                realpath (Text, TextRoom) Pointer;
                getcwd (TextRoom, Size) Pointer #79;
                chdir (Text) Int #80;
                chroot (Text) Int;
                mkdir (Text, Octal) Int #83;
                mkdirat (Directory, Text, Octal) Int #258;
                mknod (Text, Octal, Unsigned) Int #133;
                mknodat (Directory, Text, Octal, Unsigned) Int #259;
                mkfifo (Text, Octal) Int;
                mkfifoat (Directory, Text, Octal) Int;
                symlink (Text, Text) Int #88;
                symlinkat (Text, Directory, Text) Int #266;
                link (Text, Text) Int #86;
                linkat (Directory, Text, Directory, Text, Flags(Words::At)) Int #265;
                unlink (Text) Int #87;
                unlinkat (Directory, Text, Flags(Words::At)) Int #263;
                rmdir (Text) Int #84;
                remove (Text) Int;
                rename (Text, Text) Int #82;
                renameat (Directory, Text, Directory, Text) Int #264;
                renameat2 (Directory, Text, Directory, Text, Unsigned) Int #316;
                opendir (Text) Pointer;
                umask (Octal) Number #95;
                statfs (Text, Pointer) Int #137;
                statfs64=statfs (Text, Pointer) Int #137;
                statvfs (Text, Pointer) Int;
                statvfs64=statvfs (Text, Pointer) Int;
            }
            Desc {
                read (Int, Room, Size) Long #0;
                write (Int, Bytes(2), Size) Long #1;
                readv (Int, PiecesRoom(2), Int) Long #19;
                writev (Int, Pieces(2), Int) Long #20;
                pread=pread64 (Int, Room, Size, Long) Long #17;
                pread64 (Int, Room, Size, Long) Long #17;
                pwrite=pwrite64 (Int, Bytes(2), Size, Long) Long #18;
                pwrite64 (Int, Bytes(2), Size, Long) Long #18;
                preadv (Int, PiecesRoom(2), Int, Long) Long #295;
                preadv64=preadv (Int, PiecesRoom(2), Int, Long) Long #295;
                pwritev (Int, Pieces(2), Int, Long) Long #296;
                pwritev64=pwritev (Int, Pieces(2), Int, Long) Long #296;
                close (Int) Int #3;
                close_range (Unsigned, Unsigned, Int) Int #436;
                lseek (Int, Long, Name(Whence)) Long #8;
                lseek64=lseek (Int, Long, Name(Whence)) Long #8;
                dup (Int) Int #32;
                dup2 (Int, Int) Int #33;
                dup3 (Int, Int, Flags(PipeFlags)) Int #292;
                pipe (Pair) Int #22;
                pipe2 (Pair, Flags(PipeFlags)) Int #293;
                fcntl (Int, Name(Command), Control(1)) Int #72;
                fcntl64=fcntl (Int, Name(Command), Control(1)) Int #72;
                ioctl (Int, Name(Request), Pointer) Int #16;
                isatty (Int) Int;
                tcgetattr (Int, Pointer) Int;
                tcsetattr (Int, Int, Pointer) Int;
                fstat (Int, Stat) Int #5;
                fstat64=fstat (Int, Stat) Int #5;
                fchmod (Int, Octal) Int #91;
                fchown (Int, Unsigned, Unsigned) Int #93;
                ftruncate (Int, Long) Int #77;
                ftruncate64=ftruncate (Int, Long) Int #77;
                futimes (Int, Pointer) Int;
                futimens (Int, Pointer) Int;
                fallocate (Int, Flags(Fallocate), Long, Long) Int #285;
                fallocate64=fallocate (Int, Flags(Fallocate), Long, Long) Int #285;
                posix_fallocate (Int, Long, Long) Code;
                posix_fallocate64=posix_fallocate (Int, Long, Long) Code;
                posix_fadvise (Int, Long, Long, Int) Code;
                posix_fadvise64=posix_fadvise (Int, Long, Long, Int) Code;
                fsync (Int) Int #74;
                fdatasync (Int) Int #75;
                syncfs (Int) Int #306;
                sync_file_range (Int, Long, Long, Unsigned) Int #277;
                sync () Nothing;
                flock (Int, Flags(FileLock)) Int #73;
                fchdir (Int) Int #81;
                getdents64 (Int, Pointer, Size) Long #217;
                fdopendir (Int) Pointer;
                readdir64=readdir (Pointer) Found;
                readdir (Pointer) Found;
                closedir (Pointer) Int;
                dirfd (Pointer) Int;
                rewinddir (Pointer) Nothing;
                fstatfs (Int, Pointer) Int #138;
                fstatfs64=fstatfs (Int, Pointer) Int #138;
                fstatvfs (Int, Pointer) Int;
                fstatvfs64=fstatvfs (Int, Pointer) Int;
                sendfile (Int, Int, Pointer, Size) Long #40;
                sendfile64=sendfile (Int, Int, Pointer, Size) Long #40;
                splice (Int, Pointer, Int, Pointer, Size, Unsigned) Long;
                copy_file_range (Int, Pointer, Int, Pointer, Size, Unsigned) Long #326;
                poll (Polled(1), Size, Int) Int #7;
                ppoll (Polled(1), Size, Time, Pointer) Int #271;
                select (Int, Pointer, Pointer, Pointer, Pointer) Int;
                pselect (Int, Pointer, Pointer, Pointer, Time, Pointer) Int;
                eventfd=eventfd2 (Unsigned, Flags(EventDescriptor)) Int #290;
                epoll_create (Int) Int #213;
                epoll_create1 (Flags(EpollCreate)) Int #291;
                epoll_ctl (Int, Name(EpollOperation), Int, Event) Int #233;
                epoll_wait (Int, Events, Int, Int) Int #232;
                epoll_pwait (Int, Events, Int, Int, Pointer) Int #281;
                epoll_pwait2 (Int, Events, Int, Time, Pointer) Int #441;
                timerfd_create (Name(Clock), Flags(TimerDescriptor)) Int #283;
                timerfd_settime (Int, Flags(ClockFlags), Timer, Pointer) Int #286;
                timerfd_gettime (Int, Pointer) Int #287;
            }
            Net {
                socket (Name(Domain), Flags(SocketKind), Name(Protocol)) Int #41;
                socketpair (Name(Domain), Flags(SocketKind), Int, Pair) Int #53;
                bind (Int, Address(2), Unsigned) Int #49;
                listen (Int, Int) Int #50;
                connect (Int, Address(2), Unsigned) Int #42;
                accept (Int, AddressRoom(2), At) Int #43;
                accept4 (Int, AddressRoom(2), At, Flags(SocketKind)) Int #288;
                getsockname (Int, AddressRoom(2), At) Int #51;
                getpeername (Int, AddressRoom(2), At) Int #52;
                shutdown (Int, Name(How)) Int #48;
                setsockopt (Int, Name(Level), Option(1), Value(4), Unsigned) Int #54;
                getsockopt (Int, Name(Level), Option(1), ValueRoom(4), At) Int #55;
                send (Int, Bytes(2), Size, Flags(Words::Message)) Long;
                sendto (Int, Bytes(2), Size, Flags(Words::Message), Address(5), Unsigned) Long #44;
                recv (Int, Room, Size, Flags(Words::Message)) Long;
                recvfrom (Int, Room, Size, Flags(Words::Message), AddressRoom(5), At) Long #45;
                sendmsg (Int, Message, Flags(Words::Message)) Long #46;
                recvmsg (Int, MessageRoom, Flags(Words::Message)) Long #47;
                sendmmsg (Int, Pointer, Unsigned, Flags(Words::Message)) Int #307;
                recvmmsg (Int, Pointer, Unsigned, Flags(Words::Message), Time) Int #299;
                getaddrinfo (Text, Text, Pointer, Pointer) Lookup;
                freeaddrinfo (Pointer) Nothing;
                getnameinfo (Address(1), Unsigned, TextRoom, Unsigned, TextRoom, Unsigned, Int) Lookup;
                gethostname (TextRoom, Size) Int;
                if_nametoindex (Text) Number;
                if_indextoname (Unsigned, TextRoom) Pointer;
                getifaddrs (Pointer) Int;
                freeifaddrs (Pointer) Nothing;
            }
            Thread {
                pthread_create (Pointer, Pointer, Pointer, Pointer) Code;
                pthread_join (Pointer, Pointer) Code;
                pthread_detach (Pointer) Code;
                pthread_exit (Pointer) Never;
                pthread_setname_np (Pointer, Text) Code;
                pthread_getname_np (Pointer, TextRoom, Size) Code;
                pthread_getattr_np (Pointer, Pointer) Code;
                pthread_getaffinity_np (Pointer, Size, Pointer) Code;
                sched_yield () Int #24;
                sched_getaffinity (Int, Size, Pointer) Int;
                sched_setaffinity (Int, Size, Pointer) Int;
                sched_getcpu () Int;
                gettid () Number #186;
                futex (Pointer, Flags(Futex), Unsigned, FutexTime(1), Pointer, Unsigned) Int #202;
            }
            Lock {
                pthread_mutex_lock (Pointer) Code;
                pthread_mutex_trylock (Pointer) Code;
                pthread_mutex_timedlock (Pointer, Time) Code;
                pthread_mutex_unlock (Pointer) Code;
                pthread_cond_wait (Pointer, Pointer) Code;
                pthread_cond_timedwait (Pointer, Pointer, Time) Code;
                pthread_cond_signal (Pointer) Code;
                pthread_cond_broadcast (Pointer) Code;
                pthread_rwlock_rdlock (Pointer) Code;
                pthread_rwlock_tryrdlock (Pointer) Code;
                pthread_rwlock_wrlock (Pointer) Code;
                pthread_rwlock_trywrlock (Pointer) Code;
                pthread_rwlock_unlock (Pointer) Code;
                sem_wait (Pointer) Int;
                sem_trywait (Pointer) Int;
                sem_timedwait (Pointer, Time) Int;
                sem_post (Pointer) Int;
            }
            Memory {
                mmap (Pointer, Size, Flags(Protection), Flags(Mapping), Int, Long) Pointer #9;
                mmap64=mmap (Pointer, Size, Flags(Protection), Flags(Mapping), Int, Long) Pointer #9;
                munmap (Pointer, Size) Int #11;
                mprotect (Pointer, Size, Flags(Protection)) Int #10;
                mremap (Pointer, Size, Size, Flags(Remap)) Pointer #25;
                madvise (Pointer, Size, Name(Advice)) Int #28;
                mlock (Pointer, Size) Int;
                munlock (Pointer, Size) Int;
                msync (Pointer, Size, Int) Int;
            }
            Heap {
                malloc (Size) Pointer;
                calloc (Size, Size) Pointer;
                realloc (Pointer, Size) Pointer;
                reallocarray (Pointer, Size, Size) Pointer;
                free (Pointer) Nothing;
                posix_memalign (Pointer, Size, Size) Code;
                aligned_alloc (Size, Size) Pointer;
                memalign (Size, Size) Pointer;
                malloc_usable_size (Pointer) Count;
            }
            Time {
                clock_gettime (Name(Clock), TimeRoom) Int #228;
                clock_getres (Name(Clock), TimeRoom) Int #229;
                clock_settime (Name(Clock), Time) Int;
                clock_nanosleep (Name(Clock), Flags(ClockFlags), Time, Pointer) Code;
                nanosleep (Time, Pointer) Int #35;
                sleep (Unsigned) Number;
                usleep (Unsigned) Int;
                time (Pointer) Count;
                gettimeofday (Pointer, Pointer) Int;
            }
            Signal {
                sigaction=rt_sigaction (Signal, Pointer, Pointer) Int #13;
                signal (Signal, Handler) Handler;
                sigprocmask=rt_sigprocmask (Name(MaskChange), Signals, Pointer) Int #14;
                pthread_sigmask (Name(MaskChange), Signals, Pointer) Code;
                sigaltstack (Pointer, Pointer) Int #131;
                sigpending (Pointer) Int;
                sigsuspend (Signals) Int;
                pause () Int;
                sigtimedwait (Signals, Pointer, Time) Int;
                sigwaitinfo (Signals, Pointer) Int;
                sigwait (Signals, At) Code;
                kill (Int, Signal) Int #62;
                killpg (Int, Signal) Int;
                raise (Signal) Int;
                pthread_kill (Pointer, Signal) Code;
                tgkill (Int, Int, Signal) Int #234;
            }
            Process {
                exit (Int) Never;
                _exit (Int) Never #60;
                _Exit=_exit (Int) Never #60;
                abort () Never;
                getpid () Number #39;
                getppid () Number #110;
                getuid () Number #102;
                geteuid () Number #107;
                getgid () Number #104;
                getegid () Number #108;
                setuid (Unsigned) Int;
                setgid (Unsigned) Int;
                setgroups (Size, Pointer) Int;
                setpgid (Int, Int) Int;
                setsid () Int;
                fork () Int;
                vfork () Int;
                execve (Text, Pointer, Pointer) Int;
                execv (Text, Pointer) Int;
                execvp (Text, Pointer) Int;
                posix_spawn (Pointer, Text, Pointer, Pointer, Pointer, Pointer) Code;
                posix_spawnp (Pointer, Text, Pointer, Pointer, Pointer, Pointer) Code;
                waitpid (Int, Pointer, Int) Int;
                wait4 (Int, Pointer, Int, Pointer) Int;
                waitid (Int, Unsigned, Pointer, Int) Int;
                sysconf (Name(System)) Count;
                uname (Pointer) Int;
                getrlimit (Name(Limit), Pointer) Int;
                getrlimit64=getrlimit (Name(Limit), Pointer) Int;
                setrlimit (Name(Limit), Pointer) Int;
                getrandom (Room, Size, Flags(Random)) Long #318;
                getentropy (Pointer, Size) Int;
                syscall (Long, Pointer, Pointer, Pointer, Pointer, Pointer, Pointer) Long;
                getenv (Text) Found;
                setenv (Text, Text, Int) Int;
                unsetenv (Text) Int;
                putenv (Text) Int;
            }
        }
    };
}

macro_rules! table {
    ($($family:ident { $($symbol:ident $(=$name:ident)? ($($argument:expr),*) $gives:ident $(#$number:literal)?;)* })*) => {
        /// All calls, those of a family together.
        pub static CALLS: &[Call] = &{
            use Argument::*;
            use Words::{
                Access, Advice, Clock, ClockFlags, Command, Domain, EpollCreate, EpollOperation,
                EventDescriptor, Fallocate, FileLock, Futex, How, Level, Limit, Mapping, Mask, MaskChange, Open, PipeFlags,
                Protection, Protocol, Random, Remap, Request, SocketKind, System, TimerDescriptor, Whence,
            };
            [$($(Call {
                symbol: stringify!($symbol),
                name: [$(stringify!($name),)? stringify!($symbol)][0],
                family: Family::$family,
                arguments: &[$($argument),*],
                gives: Gives::$gives,
                number: [$(Some($number),)? None][0],
            },)*)*]
        };
    };
}

traced_calls!(table);
