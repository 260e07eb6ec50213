/*
 * A directory of users for tests: a module for nsswitch.conf(5) that does what the first line of the file ORDERS says.
 *
 *     hang        never answer
 *     fail        be out of reach
 *     1.5 ann     after a second and a half: whoever is asked for is ann
 *     0 -         at once: there is no such account
 */
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum nss_status _nss_hesiod_getpwuid_r(uid_t uid, struct passwd *entry, char *room, size_t size, int *why)
{
	char order[64] = "fail";
	double seconds = 0;
	FILE *file = fopen(ORDERS, "re");

	if (file != NULL) {
		if (fgets(order, sizeof order, file) == NULL)
			order[0] = 0;
		fclose(file);
	}
	if (strncmp(order, "hang", 4) == 0)
		for (;;)
			pause();
	if (sscanf(order, "%lf %63s", &seconds, room) != 2 || size < sizeof order) {
		*why = ECONNREFUSED;
		return NSS_STATUS_UNAVAIL;
	}
	usleep((useconds_t)(seconds * 1e6));
	if (strcmp(room, "-") == 0) {
		*why = ENOENT;
		return NSS_STATUS_NOTFOUND;
	}
	*entry = (struct passwd){ room, "x", uid, uid, "", "/", "/bin/sh" };
	return NSS_STATUS_SUCCESS;
}
