/** All commands, in the order of the help. */
import { blockShow } from "./block-show.ts";
import { chainVerify } from "./chain-verify.ts";
import type { Command } from "./command.ts";
import { demo } from "./demo/demo.ts";
import { devnetDown } from "./devnet/down.ts";
import { devnetReset } from "./devnet/reset.ts";
import { devnetStatus } from "./devnet/status.ts";
import { devnetUp } from "./devnet/up.ts";
import { eventsFollow } from "./events-follow.ts";
import { evidenceExport } from "./evidence-export.ts";
import { evidenceVerify } from "./evidence-verify.ts";
import { gatewayReplay } from "./gateway-replay.ts";
import { gatewayStatus } from "./gateway-status.ts";
import { genesisNew } from "./genesis-new.ts";
import { keyNew } from "./key-new.ts";
import { keyShow } from "./key-show.ts";
import { nodeBackup } from "./node-backup.ts";
import { nodeRestore } from "./node-restore.ts";
import { nodeStart } from "./node-start.ts";
import { nodeStatus } from "./node-status.ts";
import { query } from "./query.ts";
import { txShow } from "./tx-show.ts";
import { txSubmit } from "./tx-submit.ts";
import { validatorAdd } from "./validator/add.ts";
import { validatorAdmit } from "./validator/admit.ts";
import { validatorList } from "./validator/list.ts";
import { validatorRemove } from "./validator/remove.ts";
import { validatorWithdraw } from "./validator/withdraw.ts";

/** The commands. */
export const commands: readonly Command[] = [
  demo,
  devnetUp,
  devnetStatus,
  devnetDown,
  devnetReset,
  keyNew,
  keyShow,
  genesisNew,
  nodeStart,
  nodeStatus,
  nodeBackup,
  nodeRestore,
  validatorList,
  validatorAdmit,
  validatorAdd,
  validatorRemove,
  validatorWithdraw,
  txSubmit,
  txShow,
  query,
  blockShow,
  eventsFollow,
  gatewayReplay,
  gatewayStatus,
  evidenceExport,
  evidenceVerify,
  chainVerify,
];
