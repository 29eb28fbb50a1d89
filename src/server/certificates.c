/* See certificates.h. Packing runs in the monitor, unpacking in fronts and `valijad -t`. Keys are
 * wiped from every buffer that held them. */
#include "server/certificates.h"

#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	PEM_MAX = 256 * 1024,
};

static int append_file(int out, const char *path, struct err *err)
{
	char buf[4096];
	uint32_t size = 0;
	off_t head = lseek(out, 0, SEEK_CUR);
	struct stat st;
	ssize_t n;
	int rc = -1, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_sys(err, EX_NOINPUT, errno, "cannot read %s", path);
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > PEM_MAX) {
		err_set(err, EX_CONFIG, "%s is not a PEM file", path);
		goto out;
	}
	if (write(out, &size, sizeof(size)) != sizeof(size))
		goto failed;
	while ((n = read(fd, buf, sizeof(buf))) > 0 && size <= PEM_MAX) {
		if (write(out, buf, (size_t)n) != n)
			goto failed;
		size += (uint32_t)n;
	}
	if (n < 0 || pwrite(out, &size, sizeof(size), head) != sizeof(size))
		goto failed;
	rc = 0;
	goto out;
failed:
	err_sys(err, EX_OSERR, errno, "cannot copy %s", path);
out:
	wipe(buf, sizeof(buf));
	if (fd >= 0)
		close(fd);
	return rc;
}

int certificates_pack(const struct config *config, uint64_t *ret_size, struct err *err)
{
	int fd = memfd_create("certificates", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return err_sys(err, EX_OSERR, errno, "cannot make a memory file");
	for (uint32_t i = 0; i < config->certificate_count; i++) {
		const struct config_certificate *c = &config->certificates[i];

		if (append_file(fd, c->certificate, err) < 0 || append_file(fd, c->key, err) < 0) {
			err_prefix(err, "%s:%u", config->file, c->line);
			close(fd);
			return -1;
		}
	}
	*ret_size = (uint64_t)lseek(fd, 0, SEEK_CUR);
	fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	return fd;
}

static int take(pop3_span *in, pop3_span *ret)
{
	uint32_t size;

	if (in->size < sizeof(size))
		return -1;
	memcpy(&size, in->data, sizeof(size));
	if (size > in->size - sizeof(size))
		return -1;
	*ret = (pop3_span){in->data + sizeof(size), size};
	in->data += sizeof(size) + size;
	in->size -= sizeof(size) + size;
	return 0;
}

int certificates_unpack(int fd, uint64_t size, const struct config *config,
			struct tls_server **ret_server, struct err *err)
{
	struct tls_certificate list[CONFIG_CERTIFICATES_MAX];
	char *text = malloc(size + 1);
	pop3_span rest = {text, size};
	int rc = -1;

	*ret_server = NULL;
	if (!text || pread(fd, text, size, 0) != (ssize_t)size) {
		err_set(err, EX_OSERR, "cannot take over the certificates");
		goto out;
	}
	for (uint32_t i = 0; i < config->certificate_count; i++) {
		list[i].name = config->certificates[i].certificate;
		if (take(&rest, &list[i].certificate) < 0 || take(&rest, &list[i].key) < 0) {
			err_set(err, EX_SOFTWARE, "the certificates did not arrive whole");
			goto out;
		}
	}
	rc = config->certificate_count
		     ? tls_server_create(list, config->certificate_count, "pop3", ret_server, err)
		     : 0;
out:
	if (text) {
		wipe(text, size);
		free(text);
	}
	return rc;
}
