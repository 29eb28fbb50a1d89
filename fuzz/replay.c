/*
 * Runs a fuzz target over its corpus without libFuzzer: every regular file of the directories and
 * every file named on the command line. Fails when there was nothing to run, so that a lost corpus
 * does not pass. For tests only.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat status;

	if (file == NULL || fstat(fileno(file), &status) != 0) {
		perror(path);
		exit(1);
	}
	if (!S_ISREG(status.st_mode)) {
		fclose(file);
		return 0;
	}
	/* of exactly this size, so that the sanitizer sees a read beyond it */
	size_t size = (size_t)status.st_size;
	uint8_t *data = malloc(size != 0 ? size : 1);

	if (data == NULL || fread(data, 1, size, file) != size) {
		perror(path);
		exit(1);
	}
	fclose(file);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 1;
}

static int run_path(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	int n = 0;

	if (directory == NULL)
		return run_file(path);
	while ((entry = readdir(directory)) != NULL) {
		char name[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		n += run_file(name);
	}
	closedir(directory);
	return n;
}

int main(int argc, char **argv)
{
	int n = 0;

	for (int i = 1; i < argc; i++)
		n += run_path(argv[i]);
	printf("%d inputs\n", n);
	return n == 0;
}
