"""A Debian in a virtual machine, for what this machine's kernel does not have: it boots the
distribution's own kernel, runs one program and powers off. No network; the disk is thrown away."""
import os
import pathlib
import shutil
import subprocess
import tempfile

from container import Impossible, cached_tree, check_machine, library_packages

TOOLS = ('qemu-system-x86_64', 'mkfs.ext4')
BOOT_AND_RUN_SECONDS = 900  # emulated, on a machine that does other things, too
DISK = '1800M'


def run(programs, packages, files, init):
    """Boots with files ({path in the machine: path here or text}); init is the shell script that
    runs as first process. Returns what it wrote to the console."""
    check_machine()
    missing = [name for name in TOOLS if not shutil.which(name)]
    if missing:
        raise Impossible(f'{", ".join(missing)} not installed')
    tree = cached_tree([*packages, *library_packages(programs)])
    with tempfile.TemporaryDirectory(prefix='valija-test-') as scratch:
        root = pathlib.Path(scratch, 'root')
        subprocess.run(['cp', '-a', '--reflink=auto', tree, root], check=True)
        for name, content in {**files, '/init.sh': init}.items():
            put(root / name.lstrip('/'), content)
        (root / 'init.sh').chmod(0o755)
        disk = pathlib.Path(scratch, 'disk')
        subprocess.run(['mkfs.ext4', '-q', '-d', root, disk, DISK], check=True)
        return boot(root, disk)


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pathlib.Path):
        copy = shutil.copytree if content.is_dir() else shutil.copy2
        copy(content, path)
    else:
        path.write_text(content)


def boot(root, disk):
    """Emulated, not by KVM: what a host within a host has of it often does not work."""
    kernel = sorted(root.glob('boot/vmlinuz-*'))[-1]
    initrd = sorted(root.glob('boot/initrd.img-*'))[-1]
    command = ['qemu-system-x86_64', '-accel', 'tcg', '-cpu', 'max', '-m', '1024', '-smp', '2',
               '-nographic', '-no-reboot', '-nic', 'none', '-kernel', kernel, '-initrd', initrd,
               '-drive', f'file={disk},format=raw,if=virtio', '-append',
               'root=/dev/vda rw console=ttyS0 quiet init=/init.sh panic=-1']
    with tempfile.TemporaryFile() as console:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            process.wait(BOOT_AND_RUN_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.wait()
        console.seek(0)
        return console.read().decode(errors='replace')
