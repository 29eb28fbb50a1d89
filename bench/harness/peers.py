"""The servers that ours is measured against, each at its best configuration that we know.

Dovecot comes from its Debian packages. popa3d, Courier and Cyrus would conflict with it there:
their packages are fetched and unpacked into a folder, not installed, and run in namespaces of
their own (mounts for their fixed paths, a network for their fixed ports), which needs root.
"""

import glob
import os
import shutil
import subprocess
import textwrap
import time

from . import machine
from .servers import Server


class Dovecot(Server):
    """High-performance login service, many clients a process, a passwd-file with its cache on,
    sizes from the file names, no flag updates, deletions durable."""

    name = "dovecot"
    clients = 50  # of a pop3 process
    mail_settings = """\
        maildir_very_dirty_syncs = yes
        pop3_uidl_format = %f
        """

    @staticmethod
    def there():
        return os.path.exists("/usr/lib/dovecot/pop3")

    def mail_location(self):
        return f"maildir:{self.mail}/%u"

    def home(self):
        return f"{self.mail}/%u"

    def configure(self, accounts):
        self.pop3, self.pop3s, self.lmtp = (machine.free_port() for _ in range(3))
        with open(f"{self.root}/users", "w") as file:
            for number in range(accounts):
                secret = self.settings.get("secret", "{PLAIN}secret")
                file.write(f"{self.users}{number:06d}:{secret}\n")
        root = os.getuid() == 0
        me = "" if root else textwrap.dedent(f"""\
            default_internal_user = {os.environ.get("USER", "nobody")}
            default_login_user = {os.environ.get("USER", "nobody")}
            service pop3-login {{ chroot = }}
            service anvil {{ chroot = }}
            """)
        clients = self.settings.get("clients", self.clients)
        minimum = self.settings.get("processes", len(self.cores))
        with open(f"{self.root}/dovecot.conf", "w") as file:
            file.write(me + textwrap.dedent(f"""\
                base_dir = {self.root}/run
                state_dir = {self.root}/state
                log_path = {self.root}/log
                protocols = pop3 lmtp
                listen = 127.0.0.1
                ssl = yes
                ssl_cert = <{self.bench.scratch}/cert.pem
                ssl_key = <{self.bench.scratch}/key.pem
                ssl_min_protocol = TLSv1.2
                disable_plaintext_auth = no
                auth_cache_size = 100M
                auth_cache_ttl = 1 hour
                auth_mechanisms = plain
                mail_location = {self.mail_location()}
                mail_fsync = optimized
                pop3_no_flag_updates = yes
                pop3_fast_size_lookups = yes
                pop3_lock_session = yes
                mail_max_userip_connections = 0
                default_vsz_limit = 0
                default_process_limit = 10000
                default_client_limit = 200000
                first_valid_uid = 1
                passdb {{
                  driver = passwd-file
                  args = {self.root}/users
                }}
                userdb {{
                  driver = static
                  args = uid={self.owner} gid={self.owner} home={self.home()} allow_all_users=yes
                }}
                service pop3-login {{
                  service_count = 0
                  process_min_avail = {len(self.cores)}
                  client_limit = 20000
                  inet_listener pop3 {{
                    port = {self.pop3}
                  }}
                  inet_listener pop3s {{
                    port = {self.pop3s}
                    ssl = yes
                  }}
                }}
                service pop3 {{
                  service_count = 0
                  process_min_avail = {minimum}
                  client_limit = {clients}
                  process_limit = 10000
                }}
                service lmtp {{
                  service_count = 0
                  process_min_avail = {self.settings.get("lmtp_processes", 16)}
                  inet_listener lmtp {{
                    port = {self.lmtp}
                  }}
                }}
                """) + textwrap.dedent(self.mail_settings))

    def command(self):
        return ["/usr/sbin/dovecot", "-F", "-c", f"{self.root}/dovecot.conf"]

    def forget_index(self, user):
        for path in glob.glob(f"{self.maildir(user)}/dovecot*"):
            os.unlink(path)


class DovecotMbox(Dovecot):
    """The same with mboxes; what it writes into the headers of messages it writes lazily, and no
    login reads what its index has."""

    maildirs = False
    clients = 1  # it refuses more with mboxes
    mail_settings = """\
        mbox_very_dirty_syncs = yes
        """

    def mail_location(self):
        return f"mbox:~/mail:INBOX={self.mail}/%u"

    def home(self):
        return f"{self.root}/home/%u"

    def configure(self, accounts):
        super().configure(accounts)
        shutil.rmtree(f"{self.root}/home", ignore_errors=True)
        os.makedirs(f"{self.root}/home")
        os.chown(f"{self.root}/home", self.owner, -1)


class Unpacked(Server):
    """A server from a package that is unpacked, not installed, in namespaces of its own."""

    packages = ()
    speaks_tls = has_lmtp = False
    # popa3d and Courier write a reply in two pieces and leave Nagle's algorithm on: without this a
    # reply waits 40 ms for the client's acknowledgement
    load_options = {"quickack": True}

    @classmethod
    def unpack(cls, folder):
        """Fetches and unpacks; returns the folder, None if that cannot be."""
        if os.path.exists(f"{folder}/done"):
            return folder
        if os.getuid() != 0:
            return None
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(f"{folder}/deb")
        got = subprocess.run(["apt-get", "download", *cls.packages], cwd=f"{folder}/deb",
                             capture_output=True)
        if got.returncode != 0:
            return None
        for deb in glob.glob(f"{folder}/deb/*.deb"):
            if subprocess.run(["dpkg", "-x", deb, folder]).returncode != 0:
                return None
        open(f"{folder}/done", "w").close()
        return folder

    def tree(self):
        return f"{self.bench.peers}/{self.name}"

    def command(self):
        return ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-euc",
                "ip link set lo up 2>/dev/null || true\n" + self.script()]

    def script(self):
        raise NotImplementedError

    def wait_ready(self):
        self.netns = f"/proc/{self.process.pid}/ns/net"
        self._wait_for_namespace()
        probe = ["nsenter", f"--net={self.netns}", "bash", "-c",
                 f"for i in $(seq 200); do exec 3<>/dev/tcp/127.0.0.1/{self.pop3} && exit 0; "
                 "sleep 0.1; done 2>/dev/null; exit 1"]
        if subprocess.run(probe, stderr=subprocess.DEVNULL).returncode != 0:
            raise RuntimeError(f"{self.name} did not start: {self.last_words()}")


    def _wait_for_namespace(self):
        for _ in range(200):
            if os.readlink(self.netns) != os.readlink("/proc/self/ns/net"):
                return
            time.sleep(0.05)
        raise RuntimeError(f"{self.name}: no network namespace: {self.last_words()}")


    def _accounts(self, accounts, hashed, home, extra):
        """The machine's account files with the bench's users behind them."""
        for name in ("passwd", "shadow", "group"):
            shutil.copy(f"/etc/{name}", f"{self.root}/{name}")
        with open(f"{self.root}/passwd", "a") as users, open(f"{self.root}/shadow", "a") as hashes:
            users.write(f"{extra}:x:19999:19999::/nonexistent:/bin/false\n")
            for number in range(accounts):
                name = f"{self.users}{number:06d}"
                users.write(f"{name}:x:{self.uid(number)}:{self.owner}::{home(name)}:/bin/sh\n")
                hashes.write(f"{name}:{hashed}:19000:0:99999:7:::\n")
        with open(f"{self.root}/group", "a") as groups:
            groups.write(f"{extra}:x:19999:\nbench:x:{self.owner}:\n")

    def _pam(self, service):
        os.makedirs(f"{self.root}/pam.d", exist_ok=True)
        with open(f"{self.root}/pam.d/{service}", "w") as file:
            file.write("auth required pam_unix.so\naccount required pam_unix.so\n"
                       "session required pam_permit.so\n")

    def _bind_accounts(self):
        return textwrap.dedent(f"""\
            for name in passwd shadow group; do
                mount --bind {self.root}/$name /etc/$name
            done
            mount --bind {self.root}/pam.d /etc/pam.d
            """)

    def _overlay(self):
        """The unpacked packages appear where they would be installed."""
        return "".join(f"mount -t overlay overlay -o lowerdir={self.tree()}/{top}:/{top} /{top}\n"
                       for top in ("usr", "etc"))

    def _md5(self):
        return subprocess.run(["openssl", "passwd", "-1", "-salt", "bench", self.password],
                              capture_output=True, text=True, check=True).stdout.strip()


class Popa3d(Unpacked):
    """mbox, a process a session, system users: accounts and spool are bound over the machine's."""

    name = "popa3d"
    packages = ("popa3d",)
    maildirs = False
    pop3 = 110

    def uid(self, number):
        return self.owner + number

    def configure(self, accounts):
        self._accounts(accounts, self._md5(), lambda name: "/nonexistent", "popa3d")
        self._pam("popa3d")
        os.chmod(self.mail, 0o1777)

    def make_mail(self, first, users, count, octets, names="sw", ends="lf", folder="cur"):
        for number in range(first, first + users):
            self.bench.makemail(mbox=f"{self.mail}/{self.users}{number:06d}", count=count,
                                octets=octets,
                                owner=f"{self.owner + number}:{self.owner}")

    def drop_mail(self, number):
        if os.path.exists(self.maildir(number)):
            os.unlink(self.maildir(number))

    def script(self):
        return self._bind_accounts() + textwrap.dedent(f"""\
            mount --bind {self.mail} /var/mail
            mount -t tmpfs -o mode=755 tmpfs /var/lib
            mkdir /var/lib/popa3d
            {self.tree()}/usr/sbin/popa3d -D
            exec sleep infinity
            """)


class MailutilsMbox(Unpacked):
    """pop3d of GNU Mailutils: mbox, a process a session, system users as popa3d's."""

    name = "mailutils"
    packages = ("mailutils-pop3d", "mailutils-common", "libmailutils9", "libmu-dbm9",
                "libkyotocabinet16v5")
    maildirs = False
    pop3 = 110

    def configure(self, accounts):
        self._accounts(accounts, self._md5(), lambda name: "/nonexistent", "mailutils")
        with open(f"{self.root}/pop3d.conf", "w") as file:
            file.write(textwrap.dedent(f"""\
                auth {{
                  authentication "generic:system";
                  authorization "system";
                }}
                mailbox {{
                  mail-spool "mbox:/var/mail";
                }}
                logging {{
                  syslog no;
                }}
                server 127.0.0.1:{self.pop3} {{
                }}
                """))
        self._pam("mu-pop3d")

    def script(self):
        folders = sorted({os.path.dirname(path) for path in
                          glob.glob(f"{self.tree()}/usr/lib/**/lib*.so.*", recursive=True)})
        return self._bind_accounts() + textwrap.dedent(f"""\
            mount --bind {self.mail} /var/mail
            export LD_LIBRARY_PATH={":".join(folders)}
            exec {self.tree()}/usr/sbin/pop3d --daemon --foreground \\
                --config-file={self.root}/pop3d.conf
            """)


class Courier(Unpacked):
    """Maildir, a process a session, accounts by PAM from the bound account files."""

    name = "courier"
    packages = ("courier-pop", "courier-base", "courier-authlib", "courier-authdaemon",
                "libcourier-unicode4", "libidn12", "libltdl7", "libgdbm6", "libpcre3")
    pop3 = 110

    def configure(self, accounts):
        self._accounts(accounts, self._md5(), lambda name: f"{self.mail}/{name}", "courier")
        self._pam("pop3")

    def script(self):
        return self._overlay() + self._bind_accounts() + textwrap.dedent("""\
            mount -t tmpfs -o mode=755 tmpfs /run
            mkdir -p /run/courier/authdaemon
            chown -R courier:courier /run/courier
            /usr/lib/courier/courier-authlib/authdaemond &
            sleep 1
            export MAILDIRPATH=. POP3AUTH= AUTHMODULES=authdaemon
            exec /usr/sbin/couriertcpd -address=127.0.0.1 -maxprocs=20000 -maxperip=20000 \\
                -nodnslookup -noidentlookup 110 /usr/lib/courier/courier/courierpop3login \\
                /usr/lib/courier/courier/courierpop3d .
            """)

    def forget_index(self, user):
        for name in ("courierpop3dsizelist",):
            path = f"{self.maildir(user)}/{name}"
            if os.path.exists(path):
                os.unlink(path)
