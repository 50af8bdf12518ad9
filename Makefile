# SPDX-License-Identifier: GPL-2.0-or-later
#
# One make for everything. Each folder lists its objects in its own build.mk:
#
#   core-y += core/error.o                  always
#   ui-$(CONFIG_PNG) += ui/png.o            where configure found libpng
#   uses-ui/png.o = PNG                     adds PNG_CFLAGS and PNG_LIBS
#   CFLAGS-core/x.o = -O3                   flags for one object
#
# core-y, loop-y and schema-y (types and events) are in all programs; block-y and security-y in
# tern and the image tools; tools-y in the image tools; mem-y, accel-y,
# target-y, hw-y, net-y, chardev-y, ui-y, migration-y and monitor-y in tern.
# modules-y lists code that is loaded when first used; see include/module.h.
# A folder below a top folder (hw/pci/) adds to the top folder's variable.
# Programs are linked from objects, never from archives: linker sets would be
# lost.
#
# BUILD=folder chooses a build folder made by ./configure --build-dir=folder.
# V=1 prints commands.

BUILD ?= build
MAKEFLAGS += -rR --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

ifeq ($(V),1)
  Q :=
  say := @:
else
  Q := @
  say := @printf '%-7s %s\n'
endif

# ---- configuration

no_config := clean distclean help lint format check-sanitize
ifneq ($(filter-out $(no_config),$(or $(MAKECMDGOALS),all)),)
  include $(BUILD)/config.mk
  configured := y
endif

$(BUILD)/config.mk: configure VERSION
	@if [ -f $(BUILD)/config.status ]; then sh $(BUILD)/config.status; \
	else ./configure --build-dir=$(BUILD); fi

$(BUILD)/config.flags: ;
$(BUILD)/config.h: ;

# ---- objects

build_mks := $(filter-out build%,$(wildcard */build.mk */*/build.mk))
include $(build_mks)

schema_src := $(wildcard schema/*.schema)
ifneq ($(wildcard schema/schema.awk),)
  schema_h := $(BUILD)/schema/schema.h
  schema-y += schema/schema.o
  monitor-y += schema/tables.o
endif

common_objs := $(core-y) $(loop-y) $(schema-y)
tool_objs := $(common_objs) $(block-y) $(security-y) $(tools-y)
tern_objs := $(common_objs) $(block-y) $(security-y) $(mem-y) $(accel-y) \
             $(target-y) $(hw-y) $(net-y) $(chardev-y) $(ui-y) \
             $(migration-y) $(monitor-y)

module_objs := $(sort $(foreach m,$(modules-y),$(module-$(m)-objs)))
module_files := $(modules-y:%=$(BUILD)/modules/%.so)
ifneq ($(modules-y),)
  # What modules use of the program; programs export just that.
  export_list := $(BUILD)/modules/export.list
  export_flags := -Wl,--dynamic-list=$(export_list)
endif

# ---- programs: built when their main file is there
# name, main file, objects

programs :=
define program
ifneq ($(wildcard $(2)),)
programs += $(1)
objs_of_$(1) := $(patsubst %.c,%.o,$(2)) $(3)
endif
endef
$(eval $(call program,tern,main.c,$(tern_objs)))
$(eval $(call program,tern-img,tools/img.c,$(tool_objs) $(img-y)))
$(eval $(call program,tern-io,tools/io.c,$(tool_objs) $(io-y)))
$(eval $(call program,tern-nbd,tools/nbd.c,$(tool_objs) $(nbd-y)))
$(eval $(call program,tern-storage-daemon,tools/storage-daemon.c,$(tool_objs) \
    $(daemon-y)))
$(eval $(call program,tern-bridge-helper,tools/bridge-helper.c,$(bridge-helper-y)))
$(eval $(call program,tern-pr-helper,tools/pr-helper.c,$(common_objs) \
    $(security-y) $(pr-helper-y)))

# Names under which scripts know the programs.
compat_tern := qemu-system-x86_64 qemu-system-i386 qemu-kvm kvm
compat_tern-img := qemu-img
compat_tern-io := qemu-io
compat_tern-nbd := qemu-nbd
compat_tern-storage-daemon := qemu-storage-daemon
compat_tern-pr-helper := qemu-pr-helper
compat_links := $(foreach p,$(programs),$(compat_$(p)))

# ---- tests
# In-process suites: one program for each tests/SUITE/NAME.c, linked with all
# of tern, or with SUITE-NAME-objs where build.mk says so. The qtest suite's
# programs start the emulator; they are linked with tests/lib*.c and
# qtest-NAME-objs. toys-y are example devices that only contract tests and
# $(BUILD)/tests/toys/tern have.

inner_suites := unit contract fuzz torture
names_of = $(patsubst tests/$(1)/%.c,%,$(wildcard tests/$(1)/*.c))
programs_of = $(patsubst %,$(BUILD)/tests/$(1)/%,$(call names_of,$(1)))

test_lib_objs := $(patsubst %.c,%.o,$(wildcard tests/lib*.c))
test_main_objs := $(patsubst %.c,%.o,$(wildcard \
    $(foreach s,$(inner_suites) qtest,tests/$(s)/*.c)))
inner_programs := $(foreach s,$(inner_suites),$(call programs_of,$(s)))
qtest_programs := $(if $(filter tern,$(programs)),$(call programs_of,qtest))

# Guests, listed in tests/guests/build.mk:
#     guests-y += hello               hello.S or hello.c in tests/guests
#     guest-hello = elf32             elf32, elf64, mb64 (64-bit code in a
#                                     32-bit ELF file, for Multiboot) or bin
#     guest-hello-srcs = a.S b.c      if not one file of the same name
# Linked with tests/guests/hello.ld, else with KIND.ld there, to
# $(BUILD)/tests/guests/hello.elf (of bin: hello.bin).

guest_srcs = $(or $(guest-$(1)-srcs),$(notdir $(wildcard \
    tests/guests/$(1).S tests/guests/$(1).c)))
guest_bits = $(if $(filter elf64 mb64,$(guest-$(1))),64,32)
guest_objs = $(patsubst %,$(BUILD)/tests/guests/$(guest_bits)/%.o,$(guest_srcs))
guest_file = $(BUILD)/tests/guests/$(1).$(if $(filter bin,$(guest-$(1))),bin,elf)
guest_files := $(foreach g,$(guests-y),$(call guest_file,$(g)))
all_guest_objs := $(sort $(foreach g,$(guests-y),$(call guest_objs,$(g))))

# ---- all

objs := $(sort $(tern_objs) $(tool_objs) $(module_objs) \
    $(foreach p,$(programs),$(objs_of_$(p))))

.PHONY: all
all: $(objs:%=$(BUILD)/%) $(programs:%=$(BUILD)/%) \
     $(compat_links:%=$(BUILD)/compat/%) $(module_files)

ifdef configured
made_dirs := $(shell mkdir -p $(BUILD)/compat \
    $(sort $(dir $(addprefix $(BUILD)/,$(objs) $(test_main_objs) \
    $(test_lib_objs) $(toys-y) schema/x headers/x man/x \
    modules/x) $(all_guest_objs))))
endif

# ---- compile

# What is installed does not say where it was built; debug builds share a
# compiler cache between folders instead.
no_paths := $(if $(DEBUG),,-ffile-prefix-map=$(CURDIR)=.)

cflags = -std=gnu11 $(OPT_FLAGS) $(WARN_FLAGS) $(GEN_FLAGS) \
    -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 $(no_paths) \
    -Iinclude -I$(BUILD) -I. $(GLIB_2_0_CFLAGS) $(PIXMAN_1_CFLAGS) \
    $(if $(filter $(module_objs),$(1)),-fPIC) \
    $(foreach u,$(uses-$(1)),$($(u)_CFLAGS)) $(EXTRA_CFLAGS) $(CFLAGS-$(1)) \
    $(if $(filter tests/%,$(1)),$(TEST_FLAGS))

compile = $(CC) $(call cflags,$*.o) -MMD -MP -c -o $@ $<

$(BUILD)/%.o: %.c $(BUILD)/config.flags | $(schema_h)
	$(say) CC $<
	$(Q)$(compile)

$(BUILD)/%.o: %.S $(BUILD)/config.flags | $(schema_h)
	$(say) AS $<
	$(Q)$(compile)

$(BUILD)/schema/%.o: $(BUILD)/schema/%.c $(BUILD)/config.flags
	$(say) CC $<
	$(Q)$(CC) $(call cflags,schema/$*.o) -MMD -MP -c -o $@ $<

# Tables from the schema. Equal output keeps its time, so that a changed
# comment does not build everything again.
$(BUILD)/schema/stamp: schema/schema.awk $(schema_src)
	$(say) SCHEMA schema/
	$(Q)mkdir -p $(BUILD)/schema/new
	$(Q)$(AWK) -v out=$(BUILD)/schema/new/schema -f schema/schema.awk $(schema_src)
	$(Q)for f in schema.h schema.c tables.c; do \
	    cmp -s $(BUILD)/schema/new/$$f $(BUILD)/schema/$$f || \
	        cp $(BUILD)/schema/new/$$f $(BUILD)/schema/$$f || exit 1; \
	done; touch $@

$(patsubst %,$(BUILD)/schema/%,schema.h schema.c tables.c): $(BUILD)/schema/stamp ;

# ---- link

base_libs := $(GLIB_2_0_LIBS) $(PIXMAN_1_LIBS) $(LIBAIO_LIBS) $(ZLIB_LIBS) \
             $(LIBSECCOMP_LIBS) -lm
libs_of = $(base_libs) $(sort $(foreach o,$(1),$(foreach u,$(uses-$(o)),$($(u)_LIBS))))

define link_program
$(BUILD)/$(1): $(objs_of_$(1):%=$(BUILD)/%) $(build_mks) $(export_list)
	$$(say) LINK $$@
	$$(Q)$$(CC) $$(LDFLAGS) $$(export_flags) -o $$@ $$(filter %.o,$$^) \
	    $$(call libs_of,$$(objs_of_$(1)))

$(compat_$(1):%=$(BUILD)/compat/%): | $(BUILD)/$(1)
	$$(Q)ln -sfn ../$(1) $$@
endef
$(foreach p,$(programs),$(eval $(call link_program,$(p))))

define link_module
$(BUILD)/modules/$(1).so: $(patsubst %,$(BUILD)/%,$(module-$(1)-objs) modules/version.o) $(build_mks)
	$$(say) LINK $$@
	$$(Q)$$(CC) $$(filter-out -pie,$$(LDFLAGS)) -shared -o $$@ $$(filter %.o,$$^) \
	    $$(sort $$(foreach o,$(module-$(1)-objs),$$(foreach u,$$(uses-$$(o)),$$($$(u)_LIBS))))
endef
$(foreach m,$(modules-y),$(eval $(call link_module,$(m))))

# A program loads modules of its own version only.
$(BUILD)/modules/version.o: $(BUILD)/config.flags
	$(Q)printf '%s\n' '#include "config.h"' \
	    'extern const char tern_module_version[];' \
	    'const char tern_module_version[] = TERN_VERSION;' >$(@:.o=.c)
	$(Q)$(CC) $(call cflags,$(firstword $(module_objs))) -c -o $@ $(@:.o=.c)

$(BUILD)/modules/stamp: $(module_objs:%=$(BUILD)/%)
	$(Q){ echo '{'; nm -u $^ | awk 'NF == 2 { print $$2 ";" }' | sort -u; \
	    echo '};'; } >$(export_list).new; \
	    cmp -s $(export_list).new $(export_list) || \
	    cp $(export_list).new $(export_list); touch $@

$(export_list): $(BUILD)/modules/stamp ;

# Until every folder of the emulator is there its objects name functions that
# nothing defines; a test of one folder does not call them.
ifeq ($(wildcard main.c),)
  test_ldflags := -no-pie -Wl,--unresolved-symbols=ignore-all
endif
# A hundred copies of the debug sections would cost more than they tell; a
# sanitizer's report needs them.
nodebug := $(if $(SANITIZERS),,-Wl,-S)

# All of tern but main, as one object: links of test programs stay short.
$(BUILD)/tests/all.o: $(tern_objs:%=$(BUILD)/%) $(build_mks)
	$(say) LINK $@
	$(Q)$(PLAIN_CC) -r -nostdlib $(nodebug) -o $@ $(filter %.o,$^)

# $(1) suite, $(2) name, $(3) its own objects or none, $(4) common ones or none
define link_test
$(BUILD)/tests/$(1)/$(2): $(patsubst %,$(BUILD)/%,tests/$(1)/$(2).o $(3) $(4)) $(build_mks) $(export_list)
	$$(say) LINK $$@
	$$(Q)$$(CC) $$(LDFLAGS) $$(test_ldflags) $$(nodebug) $$(export_flags) -o $$@ $$(filter %.o,$$^) \
	    $$(call libs_of,tests/$(1)/$(2).o $(3) $(if $(4),$$(tern_objs)))
endef
$(foreach s,$(inner_suites),$(foreach t,$(call names_of,$(s)),$(eval \
    $(call link_test,$(s),$(t),$($(s)-$(t)-objs),$(if $($(s)-$(t)-objs),,\
    tests/all.o $(if $(filter contract,$(s)),$(toys-y)))))))
$(foreach t,$(call names_of,qtest),$(eval \
    $(call link_test,qtest,$(t),$(test_lib_objs) $(qtest-$(t)-objs),)))

ifneq ($(filter tern,$(programs)),)
toy_program := $(BUILD)/tests/toys/tern
$(toy_program): $(BUILD)/main.o $(BUILD)/tests/all.o $(toys-y:%=$(BUILD)/%) \
    $(export_list)
	$(say) LINK $@
	$(Q)$(CC) $(LDFLAGS) $(nodebug) $(export_flags) -o $@ $(filter %.o,$^) \
	    $(call libs_of,$(tern_objs))
endif

# ---- guests

guest_cflags = -m$(1) -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding \
    -fno-pic -fno-pie -fno-stack-protector -fcf-protection=none \
    -fno-asynchronous-unwind-tables -mno-red-zone -mgeneral-regs-only \
    $(no_paths) -Itests/guests -I$(BUILD) $(CFLAGS-guest-$*)

define guest_rule
$(BUILD)/tests/guests/$(1)/%.o: tests/guests/% $(BUILD)/config.flags
	$$(say) GUEST $$<
	$$(Q)$$(CC) $$(call guest_cflags,$(1)) -MMD -MP -c -o $$@ $$<
endef
$(foreach b,32 64,$(eval $(call guest_rule,$(b))))

define guest_link
$(call guest_file,$(1)): $(call guest_objs,$(1)) \
    $(or $(wildcard tests/guests/$(1).ld),tests/guests/$(guest-$(1)).ld) $(build_mks)
	$$(say) LINK $$@
	$$(Q)ld -m $$(if $$(filter 64,$(call guest_bits,$(1))),elf_x86_64,elf_i386) \
	    -nostdlib --build-id=none -z noexecstack --no-warn-rwx-segments \
	    $$(if $$(filter bin,$(guest-$(1))),--oformat binary) \
	    -T $$(filter %.ld,$$^) -o $$@ $$(filter %.o,$$^)
	$$(Q)$$(if $$(filter mb64,$(guest-$(1))),objcopy -O elf32-i386 $$@,:)
endef
$(foreach g,$(guests-y),$(eval $(call guest_link,$(g))))

.PHONY: guests
guests: $(guest_files)

# ---- test targets

run_tests = BUILD=$(BUILD) CC="$(PLAIN_CC)" sh tests/run

.PHONY: test-programs check check-quick check-slow check-sanitize \
        check-sanitized check-headers lint bench
test-programs: $(inner_programs) $(qtest_programs) $(toy_program) $(guest_files)

check: all test-programs check-headers
	@$(run_tests) lint unit contract qtest block abi func

# What a change must pass before it lands.
check-quick: all $(call programs_of,unit) $(call programs_of,contract)
	@$(run_tests) unit contract

check-slow: all test-programs check-headers
	@TEST_SLOW=1 TEST_TIMEOUT=3600 $(run_tests) lint unit contract qtest block \
	    abi func fuzz torture slow

check-sanitize:
	@MAKE="$(MAKE)" sh scripts/check-sanitize

# The suites that scripts/check-sanitize runs in each sanitized build.
check-sanitized: all test-programs
	@$(run_tests) unit contract qtest

# Each header compiles by itself: those of include/, and the folders' own where
# its library is there. boot-rom.h is for the assembler.
own_headers := $(filter-out include/% tests/% build% %/boot-rom.h \
    $(if $(CONFIG_SLIRP),,net/user-priv.h),$(wildcard */*.h */*/*.h))
check-headers: $(BUILD)/headers/own.stamp \
    $(patsubst include/%,$(BUILD)/headers/%.o,$(wildcard include/*.h))
$(BUILD)/headers/own.stamp: $(own_headers) $(BUILD)/config.flags | $(schema_h)
	$(Q)for h in $(own_headers); do \
	    echo "#include \"$$h\"" | $(CC) $(call cflags,headers/own.o) \
	        $(SLIRP_CFLAGS) -fsyntax-only -x c - || exit 1; \
	done
	$(Q)touch $@
$(BUILD)/headers/%.h.o: include/%.h $(BUILD)/config.flags | $(schema_h)
	$(Q)echo '#include "$*.h"' >$(BUILD)/headers/$*.c
	$(Q)$(CC) $(call cflags,headers/$*.o) -MMD -MP -MT $@ -c -o $@ \
	    $(BUILD)/headers/$*.c

lint:
	@$(run_tests) lint

bench: all $(guest_files)
	@BUILD=$(BUILD) sh scripts/bench

# ---- manual: every program prints its own page from its tables

.PHONY: man
# Started by tern alone: no page of its own.
inner_helpers := tern-bridge-helper
man_pages := $(patsubst %,$(BUILD)/man/%.1,$(filter-out $(inner_helpers),$(programs)))
man: $(man_pages)
$(BUILD)/man/%.1: $(BUILD)/%
	$(say) MAN $@
	$(Q)$< --x-man >$@.new && mv $@.new $@

# ---- demo

.PHONY: demo
demo: all $(guest_files)
	@BUILD=$(BUILD) sh scripts/run-demo

# ---- install

DESTDIR ?=
bindir = $(DESTDIR)$(prefix)/bin
libexecdir = $(DESTDIR)$(prefix)/libexec/tern
mandir = $(DESTDIR)$(prefix)/share/man/man1
docdir = $(DESTDIR)$(prefix)/share/doc/tern
bashdir = $(DESTDIR)$(prefix)/share/bash-completion/completions
zshdir = $(DESTDIR)$(prefix)/share/zsh/site-functions

.PHONY: install
install: all man
	install -d $(bindir) $(libexecdir)/compat $(docdir)
	$(foreach p,$(filter-out $(inner_helpers),$(programs)), \
	    install -m 755 $(BUILD)/$(p) $(bindir)/$(p) &&) :
	$(foreach p,$(filter $(inner_helpers),$(programs)), \
	    install -m 755 $(BUILD)/$(p) $(libexecdir)/$(p) &&) :
	$(foreach p,$(programs),$(foreach l,$(compat_$(p)), \
	    ln -sfn $(if $(filter $(inner_helpers),$(p)),..,../../../bin)/$(p) \
	    $(libexecdir)/compat/$(l) &&)) :
	$(foreach m,$(module_files),install -d $(DESTDIR)$(prefix)/lib/tern && \
	    install -m 755 $(m) $(DESTDIR)$(prefix)/lib/tern/ &&) :
	install -m 644 README.md LICENSE $(wildcard docs/*.md) $(docdir)
	install -d $(mandir)
	install -m 644 $(man_pages) $(mandir)
	install -d $(bashdir) $(zshdir)
	$(foreach p,$(filter-out $(inner_helpers),$(programs)), \
	    scripts/completion bash $(BUILD)/$(p) >$(bashdir)/$(p) && \
	    scripts/completion zsh $(BUILD)/$(p) >$(zshdir)/_$(p) &&) :

# ---- cleaning, formatting, help

.PHONY: clean distclean format help
# What configure wrote stays.
clean:
	find $(BUILD) -mindepth 1 -maxdepth 1 ! -name 'config.*' -exec rm -rf {} +

distclean:
	rm -rf $(BUILD) build-asan build-tsan build-gcc build-clang

# The lines that differ from main, in the style of .clang-format.
format:
	git clang-format main

help:
	@echo 'make                 everything, into $(BUILD)/'
	@echo 'make install         into DESTDIR and the prefix given to configure'
	@echo 'make demo            boots a small guest'
	@echo 'make check           all tests but the slow ones; ONLY=pattern chooses'
	@echo 'make check-quick     unit and contract tests'
	@echo 'make check-slow      everything, with fuzzing, real systems, sanitizers'
	@echo 'make check-sanitize  under ASan, UBSan and TSan, in build-asan, build-tsan'
	@echo 'make check-headers   every header compiles alone'
	@echo 'make lint            style rules'
	@echo 'make bench           figures'
	@echo 'make man             manual pages, into $(BUILD)/man'
	@echo 'make clean           keeps the configuration; distclean does not'
	@echo 'Variables: V=1 shows commands, BUILD=folder, TEST_JOBS=n.'

# ---- header dependencies

ifdef configured
-include $(patsubst %.o,$(BUILD)/%.d,$(objs) $(test_main_objs) \
    $(test_lib_objs) $(toys-y))
-include $(all_guest_objs:.o=.d) $(wildcard $(BUILD)/headers/*.d)
endif
