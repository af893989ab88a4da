import { describe, expect, it } from 'vitest';
import { consoleTail, judgeConsole } from '../../../vm-lab/console-watch.ts';

const judge = (text: string, silentSeconds = 0) => judgeConsole({ text, silentSeconds, silenceLimitSeconds: 60 });

describe('judgeConsole', () => {
  it.each([
    ['[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs', 'kernel panic'],
    ['rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:', 'RCU stall'],
    ['rcu: INFO: rcu_sched self-detected stall on CPU', 'RCU stall'],
    ['Initramfs unpacking failed: invalid magic at start of compressed archive', 'a damaged initrd'],
    ['BdsDxe: No bootable option or device was found.', 'nothing to boot'],
  ])('takes "%s" for the end', (line, meaning) => {
    expect(judge(`before\n${line}\nafter`)).toEqual({ kind: 'failed', reason: `its console shows: ${meaning}` });
  });

  it('does not take words of the kernel command line for a failure (panic=10, rd.emergency=reboot)', () => {
    expect(judge('Command line: panic=10 rd.shell=0 rd.emergency=reboot root=live:http://x/rootfs.squashfs').kind).toBe(
      'going',
    );
  });

  it('fails a console that is silent for longer than the limit', () => {
    expect(judge('booting', 59).kind).toBe('going');
    expect(judge('booting', 61)).toEqual({ kind: 'silent', reason: 'its console has been silent for 61 s' });
  });
});

describe('consoleTail', () => {
  it('keeps the last lines that a person would have seen', () => {
    const text = 'one\r\n\u001b[2J\u001b[01;01Htwo\r\n\r\nworking 1%\rworking 100%\r\n\u001bcthree';
    expect(consoleTail(text, 3)).toBe('two\nworking 100%\nthree');
  });
});
