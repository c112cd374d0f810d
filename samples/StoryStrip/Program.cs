using StorySync.Samples;

ProcessMemory.ReturnFreedBlocks();
return await CommandLine.InvokeAsync(StoryCommand.Create(), args, Console.Out, Console.Error);
